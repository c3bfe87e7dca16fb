"""What the three providers' SDKs have in common: they may be missing, and they say errors as status, kind and text."""

import importlib
import time
from collections.abc import Mapping
from typing import Any

from autoresearch_ray.common.errors import ProviderError, SettingsError
from autoresearch_ray.propose.llm.providers.failures import failure
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.registry import REGISTRY
from autoresearch_ray.propose.llm.providers.retry import retry_after_seconds


def need(provider: str) -> None:
    """Check that the provider's SDK is there; SettingsError says how to install it."""
    module, package = REGISTRY[provider].sdk, REGISTRY[provider].package
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"--proposer {provider}: the Python package {module} cannot be imported ({error}); pip install '{package}'"
        ) from None


def status_failure(
    provider: str, model: str, key: Key, status: int, kinds: list[str], message: str, headers: Mapping[str, str] | None
) -> ProviderError:
    """The failure for an error status, told without the key."""
    asked = retry_after_seconds({name.lower(): text for name, text in (headers or {}).items()}, time.time())
    return failure(
        f"{provider}:{model}", status, kinds, key.scrub(message), asked, " or ".join(REGISTRY[provider].key_variables)
    )


def dig(body: Any, *names: str) -> Any:
    """The value at a path of names in nested dicts, or None."""
    for name in names:
        if not isinstance(body, dict):
            return None
        body = body.get(name)
    return body
