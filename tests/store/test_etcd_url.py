"""What a URL of an etcd cluster may hold, and what comes from the environment."""

from pathlib import Path

import pytest

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.etcd.store import EtcdStore
from autoresearch_ray.store.etcd.url import Credentials, EtcdUrl, credentials, parse_etcd_url


@pytest.mark.parametrize(
    ("url", "members"),
    [
        ("etcd://localhost", (("localhost", 2379),)),
        ("etcd://10.0.0.1:2400/", (("10.0.0.1", 2400),)),
        ("etcd://a:1,b.example.org,[::1]:3", (("a", 1), ("b.example.org", 2379), ("::1", 3))),
    ],
)
def test_a_url_names_the_members(url: str, members: tuple[tuple[str, int], ...]) -> None:
    assert parse_etcd_url(url, {}) == EtcdUrl(members)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://a", "expected etcd://"),
        ("etcd://", "'' is no host:port"),
        ("etcd://a,,b", "'' is no host:port"),
        ("etcd://a:port", "'a:port' is no host:port"),
        ("etcd://a:0", "'a:0' is no host:port"),
        ("etcd://a:70000", "'a:70000' is no host:port"),
        ("etcd://a/path", "'a/path' is no host:port"),
        ("etcd://a?cafile=x", "no option 'cafile'"),
        ("etcd://a?tls=yes", "tls=yes; expected 0 or 1"),
        ("etcd://a?tls=0&cacert=x", "one or the other"),
        ("etcd://a?cacert=/no/such/file", "cacert file /no/such/file does not exist"),
        ("etcd://me:secret@a", "expected no user in the URL"),
    ],
)
def test_a_wrong_url_is_one_clear_line(url: str, seen: str) -> None:
    with pytest.raises(StoreError) as error:
        parse_etcd_url(url, {})
    assert seen in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_tls_files_come_from_the_url_or_else_from_the_environment(tmp_path: Path) -> None:
    ca, cert, key = (tmp_path / name for name in ("ca", "cert", "key"))
    for file in (ca, cert, key):
        file.touch()
    environment = {"ETCDCTL_CACERT": str(ca), "ETCDCTL_CERT": str(cert), "ETCDCTL_KEY": str(key)}
    members = (("a", 2379),)
    assert parse_etcd_url("etcd://a", environment) == EtcdUrl(members, True, str(ca), str(cert), str(key))
    assert parse_etcd_url(f"etcd://a?cacert={cert}", environment).cacert == str(cert)
    assert parse_etcd_url("etcd://a?tls=1", {}) == EtcdUrl(members, True)
    assert parse_etcd_url("etcd://a?tls=0", environment) == EtcdUrl(members)
    with pytest.raises(StoreError, match="belong together"):
        parse_etcd_url(f"etcd://a?cert={cert}", {})


def test_credentials_are_those_of_etcdctl_and_in_no_representation() -> None:
    assert credentials({}) == Credentials()
    assert credentials({"ETCDCTL_USER": "me:secret"}) == Credentials("me", "secret")
    assert credentials({"ETCDCTL_USER": "me", "ETCDCTL_PASSWORD": "secret"}) == Credentials("me", "secret")
    assert "secret" not in repr(credentials({"ETCDCTL_USER": "me:secret"}))


def test_a_store_says_at_once_that_its_url_is_wrong() -> None:
    with pytest.raises(StoreError, match="is no host:port"):
        EtcdStore("etcd://a:b:c", "run/")
