"""Users, passwords and TLS, on etcd servers that ask for them."""

import base64
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from etcd3gw.client import Etcd3Client
from etcd_server import Member, memory_folder, needs_etcd, running_etcd

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.contract import Put, WatchBatch
from autoresearch_ray.store.etcd.store import EtcdStore

pytestmark = needs_etcd

PASSWORD = "correct-horse"


class Keeper:
    """The cluster's root, by etcd's own calls."""

    def __init__(self, member: Member) -> None:
        host, _, port = member.address.partition(":")
        self.url = f"etcd://{member.address}"
        self._client = Etcd3Client(host, int(port), api_path="/v3/")

    def __call__(self, path: str, **body: object) -> Any:
        return self._client.post(self._client.get_url(path), json=body)

    def lock(self) -> None:
        """Ask everybody for a name from now on; `run` may read and write run/ alone."""
        for name, password in (("root", "root"), ("run", PASSWORD)):
            self("auth/user/add", name=name, password=password)
            self("auth/role/add", name=name)
            self("auth/user/grant", user=name, role=name)
        everything = {"permType": "READWRITE", "key": text("run/"), "range_end": text("run0")}
        self("auth/role/grant", name="run", perm=everything)
        self("auth/enable")

    def end_all_sessions(self) -> None:
        """Every token is worth nothing from now on, as after five idle minutes."""
        self._client.session.headers["Authorization"] = self("auth/authenticate", name="root", password="root")["token"]
        self("auth/user/changepw", name="run", password=PASSWORD)


def text(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with memory_folder() as folder, running_etcd(folder) as member:
        yield Keeper(member)


@pytest.fixture
def as_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDCTL_USER", "run")
    monkeypatch.setenv("ETCDCTL_PASSWORD", PASSWORD)


@pytest.mark.usefixtures("as_run")
def test_a_user_reads_writes_and_watches_with_the_password_of_the_environment(keeper: Keeper) -> None:
    keeper.lock()
    store = EtcdStore(keeper.url, "run/")
    start = store.revision() + 1
    lease = store.grant(60)
    put = store.put("a", b"1", lease)
    assert store.watch("", start, 5).revision == put
    assert store.keep_alive(lease) == 60
    assert store.revoke(lease) == put + 1
    with pytest.raises(StoreError, match=r"permission denied.*rights on the run's prefix"):
        EtcdStore(keeper.url, "another/").put("a", b"1")


@pytest.mark.usefixtures("as_run")
def test_an_ended_session_is_begun_again(keeper: Keeper, tmp_path: Path) -> None:
    before = EtcdStore(keeper.url, "run/")
    before.put("a", b"1")  # nobody asks for a name yet
    keeper.lock()
    put = before.put("a", b"2")
    keeper.end_all_sessions()
    assert before.put("a", b"3") == put + 1
    keeper.end_all_sessions()
    assert [event.kv.value for event in before.watch("", put, 5).events] == [b"2", b"3"]
    keeper.end_all_sessions()
    assert before.watch("", put + 2, 0) == WatchBatch((), put + 1)
    keeper.end_all_sessions()
    with pytest.raises(StoreError, match="permission denied"):  # a snapshot is for root
        before.backup(tmp_path / "snapshot")


def test_the_password_is_in_no_error_representation_or_pickle(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, as_run: None
) -> None:
    keeper.lock()
    store = EtcdStore(keeper.url, "run/")
    store.put("a", b"1")
    assert PASSWORD not in repr(store)
    assert PASSWORD.encode() not in pickle.dumps(store)
    copy = pickle.loads(pickle.dumps(store))
    assert copy.get("a") == store.get("a")
    monkeypatch.setenv("ETCDCTL_PASSWORD", f"{PASSWORD}-wrong")
    with pytest.raises(StoreError, match=r"etcd refused user 'run'.*look at ETCDCTL_USER") as error:
        pickle.loads(pickle.dumps(store)).get("a")
    assert PASSWORD not in str(error.value)
    monkeypatch.delenv("ETCDCTL_USER")
    with pytest.raises(StoreError, match="set ETCDCTL_USER"):
        EtcdStore(keeper.url, "run/").txn([], [Put("a", b"")])


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and a certificate for 127.0.0.1 that serves both ends."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("papers")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2",
        "req -newkey rsa:2048 -nodes -keyout us.key -out us.csr -subj /CN=us",
        "x509 -req -in us.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out us.crt -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_both_ends_show_their_certificates(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [f"--cert-file={papers}/us.crt", f"--key-file={papers}/us.key", f"--trusted-ca-file={papers}/ca.crt"]
    with memory_folder() as folder, running_etcd(folder, *files, "--client-cert-auth", scheme="https") as member:
        url = f"etcd://{member.address}"
        ours = f"cert={papers}/us.crt&key={papers}/us.key"
        store = EtcdStore(f"{url}?cacert={papers}/ca.crt&{ours}", "run/")
        start = store.revision() + 1
        put = store.put("a", b"1")
        assert store.watch("", start, 5).revision == put
        assert pickle.loads(pickle.dumps(store)).get("a") == store.get("a")
        with pytest.raises(StoreError, match=rf"{member.address}: TLS fails .*look at cacert"):
            EtcdStore(f"{url}?tls=1&{ours}", "run/").get("a")
        with pytest.raises(StoreError, match=r"no answer|TLS fails"):
            EtcdStore(f"{url}?cacert={papers}/ca.crt", "run/", retry_seconds=0.5).get("a")
        with pytest.raises(StoreError, match="no answer"):
            EtcdStore(url, "run/", retry_seconds=0.5).get("a")
        for name, file in (("CACERT", "ca.crt"), ("CERT", "us.crt"), ("KEY", "us.key")):
            monkeypatch.setenv(f"ETCDCTL_{name}", str(papers / file))
        assert EtcdStore(url, "run/").get("a") == store.get("a")
