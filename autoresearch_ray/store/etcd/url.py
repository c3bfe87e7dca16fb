"""Where an etcd cluster is and how to reach it: from a URL, and from the environment in etcdctl's own names.

    etcd://host:2379[,host2:2379...][?tls=1&cacert=FILE&cert=FILE&key=FILE]

    ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY   the same files, where the URL names none; tls=0 leaves them aside
    ETCDCTL_USER (name or name:password), ETCDCTL_PASSWORD   the only places for credentials

A URL is printed, logged and stored with a run, so one that holds a password is refused.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from autoresearch_ray.common.errors import StoreError

DEFAULT_PORT = 2379
FORM = "etcd://host:2379[,host2:2379...][?tls=1&cacert=FILE&cert=FILE&key=FILE]"
FILES = {"cacert": "ETCDCTL_CACERT", "cert": "ETCDCTL_CERT", "key": "ETCDCTL_KEY"}

_MEMBER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class EtcdUrl:
    """A cluster's members as (host, port), and the TLS files ("" for none)."""

    members: tuple[tuple[str, int], ...]
    tls: bool = False
    cacert: str = ""
    cert: str = ""
    key: str = ""

    def __str__(self) -> str:
        return "etcd://" + ",".join(f"{host}:{port}" for host, port in self.members)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to the cluster; a user of "" is nobody. The password is in no representation."""

    user: str = ""
    password: str = field(default="", repr=False)


def parse_etcd_url(url: str, environment: Mapping[str, str] = os.environ) -> EtcdUrl:
    """The cluster that a URL names, with the environment's TLS files. StoreError, in one line, for anything wrong."""
    scheme, _, rest = url.partition("://")
    members_text, _, query = rest.partition("?")
    if "@" in members_text:
        raise StoreError("etcd://...@...: expected no user in the URL; set ETCDCTL_USER and ETCDCTL_PASSWORD")
    if scheme != "etcd":
        raise StoreError(f"{url}: expected {FORM}")
    members = tuple(_member(url, member) for member in members_text.removesuffix("/").split(","))
    return EtcdUrl(members, *_tls(url, query, environment))


def credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """The user and password that etcdctl would take."""
    user, _, password = environment.get("ETCDCTL_USER", "").partition(":")
    return Credentials(user, password or environment.get("ETCDCTL_PASSWORD", ""))


def _member(url: str, member: str) -> tuple[str, int]:
    found = _MEMBER.fullmatch(member)
    port = int(found["port"] or DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise StoreError(f"{url}: {member!r} is no host:port; expected {FORM}")
    return found["host"].strip("[]"), port


def _tls(url: str, query: str, environment: Mapping[str, str]) -> tuple[bool, str, str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in ("tls", *FILES):
            raise StoreError(f"{url}: no option {name!r}; expected {FORM}")
        if name == "tls" and value not in ("0", "1"):
            raise StoreError(f"{url}: tls={value}; expected 0 or 1")
    if options.get("tls") == "0":
        if len(options) > 1:
            raise StoreError(f"{url}: tls=0 beside TLS files; expected one or the other")
        return False, "", "", ""
    files = {name: options.get(name, environment.get(variable, "")) for name, variable in FILES.items()}
    for name, file in files.items():
        if file and not Path(file).is_file():
            raise StoreError(f"{url}: {name} file {file} does not exist; look at the URL and {FILES[name]}")
    if bool(files["cert"]) != bool(files["key"]):
        raise StoreError(f"{url}: a client's cert and key belong together; expected both or none")
    tls = "tls" in options or any(files.values())
    return tls, files["cacert"], files["cert"], files["key"]
