"""What the environment says of the way to a provider: its address, proxies and certificates. Told without passwords."""

import os
import re
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from autoresearch_ray.common.errors import SettingsError

WAY = re.compile(r"((https?|all)_proxy|ssl_cert_(file|dir))$", re.IGNORECASE)  # variables that the HTTP client reads
PASSWORD = re.compile(r"(^|//)[^/@]*@")


def check_address(url: str) -> str:
    """The URL of a server that can be asked; ValueError says what is wrong with it."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in url
    except ValueError:  # brackets that do not match, or a port that is no number
        whole = False
    if not whole:
        raise ValueError("expected http:// or https:// and a host, as in http://localhost:8000/v1")
    return url


def check_variable(name: str) -> None:
    """SettingsError where this variable sends an SDK to what is no URL; an empty one does."""
    try:
        check_address(os.environ.get(name, "http://localhost"))
    except ValueError as error:
        raise SettingsError(f"{name}={os.environ[name]}: {error}; unset it for the provider's own address") from None


def way_told() -> str:
    """Every variable that says how servers are reached, as `NAME=value`; "" for none."""
    return ", ".join(_tell(name) for name in sorted(os.environ) if WAY.match(name) and os.environ[name])


def proxy_told(url: str) -> str:
    """The variable whose proxy stands between here and this URL, as `NAME=value`; "" for none."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return ""
    wanted = [f"{parts.scheme}_proxy", "all_proxy"]
    names = [name for want in wanted for name in sorted(os.environ) if name.lower() == want and os.environ[name]]
    return _tell(names[0]) if names else ""


def _tell(name: str) -> str:
    shown = PASSWORD.sub(r"\1[password]@", os.environ[name])
    return f"{name}={shown}"
