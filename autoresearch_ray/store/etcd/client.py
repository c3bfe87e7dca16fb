"""Requests to an etcd cluster: whichever member answers, signed in if need be, etcd's errors as the store's.

They go to etcd's JSON gateway over `requests`, with one connection pool for all threads. Proxies and .netrc of the
environment are left aside. Needs etcd 3.4 or newer.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from autoresearch_ray.common.errors import CompactedError, FutureRevisionError, LeaseNotFoundError, StoreError
from autoresearch_ray.store.etcd.url import Credentials, EtcdUrl, credentials
from autoresearch_ray.store.etcd.wire import Json

RETRY_SECONDS = 30.0  # an election takes one or two
PAUSE_SECONDS = 0.1
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0  # etcd itself gives up after 5 and an election
POOLED_CONNECTIONS = 256  # kept open to a member; more are made when needed

_UNAVAILABLE = (1, 4, 14)  # gRPC: cancelled, deadline exceeded, unavailable; the request may have been carried out
_UNAUTHENTICATED = 16
_SIGNED_OUT = ("invalid auth token", "revision in header is old", "user name is empty")
_HINTS = {
    "too many operations": "etcd takes --max-txn-ops (128), two of which are ours",
    "request is too large": "etcd takes --max-request-bytes (1.5 MB)",
    "database space exceeded": "compact, defragment and disarm the cluster's alarm",
    "permission denied": "the user needs read and write rights on the run's prefix",
    "user name is empty": "set ETCDCTL_USER and ETCDCTL_PASSWORD",
}


class UnavailableError(StoreError):
    """A member gave no answer; whether it carried the request out is unknown."""


class SignedOutError(StoreError):
    """The token has expired, or rights were changed since it was given; `EtcdClient.call` gets a new one by itself."""


class EtcdClient:
    """A cluster at the other end of HTTP. Any thread may call; connections are made when first needed."""

    def __init__(self, url: EtcdUrl, retry_seconds: float = RETRY_SECONDS) -> None:
        self._url, self._retry_seconds = url, retry_seconds
        self._session = _session(url)
        self._current = 0  # the member that answered last
        self._token: str | None = None  # None: not signed in yet; "": nobody
        self._sign_in_lock = threading.Lock()

    def call(self, path: str, body: Json, about: str = "") -> Json:
        """The answer of some member, within RETRY_SECONDS. `about` names the revision or lease in errors.

        A request may be sent more than once. CompactedError, FutureRevisionError, LeaseNotFoundError, StoreError.
        """
        deadline = time.monotonic() + self._retry_seconds
        while True:
            try:
                return self._once(path, body, about)
            except UnavailableError as error:
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"{path}: no answer from {self._url} within {self._retry_seconds:g} s ({error}); "
                        "is etcd up, and has it a leader?"
                    ) from None
            time.sleep(PAUSE_SECONDS)

    @contextmanager
    def stream(self, path: str, body: Json, silence_seconds: float) -> Iterator[Iterator[Json]]:
        """One member's messages until it ends them. UnavailableError when it fails or is silent for so long."""
        current, begun = self._current, time.monotonic()
        try:
            response = self._session.post(
                self._address(current, path),
                json=body,
                headers=self._headers(),
                stream=True,
                timeout=(CONNECT_SECONDS, max(silence_seconds, 0.001)),
            )
            with response:
                if response.status_code != requests.codes["ok"]:
                    raise refusal(path, response.text)
                yield (_result(path, json.loads(line), "") for line in response.iter_lines(chunk_size=None) if line)
        except requests.RequestException as error:
            if time.monotonic() - begun < silence_seconds:  # it failed; silence is no fault
                self._leave(current)
            raise UnavailableError(f"{self._host_and_port(current)}: {_reason(error)}") from None

    def _once(self, path: str, body: Json, about: str) -> Json:
        headers = self._headers()
        try:
            return self._post(path, body, about, headers)
        except SignedOutError:
            with self._sign_in_lock:
                if self._token == headers.get("Authorization", ""):  # else another thread has signed in again
                    self._token = None
            return self._post(path, body, about, self._headers())

    def _post(self, path: str, body: Json, about: str, headers: dict[str, str]) -> Json:
        current = self._current
        patience = (CONNECT_SECONDS, ANSWER_SECONDS)
        try:
            response = self._session.post(self._address(current, path), json=body, headers=headers, timeout=patience)
            if response.status_code == requests.codes["ok"]:
                return _result(path, response.json(), about)
        except requests.RequestException as error:
            self._leave(current)
            address, reason = self._host_and_port(current), _reason(error)
            if isinstance(error, requests.exceptions.SSLError) and "EOF" not in reason:  # else it hung up
                raise StoreError(f"{address}: TLS fails ({reason}); look at cacert, cert and key") from None
            raise UnavailableError(f"{address}: {reason}") from None
        refused = refusal(path, response.text, about)
        if isinstance(refused, UnavailableError):
            self._leave(current)
        raise refused

    def _address(self, member: int, path: str) -> str:
        return f"{'https' if self._url.tls else 'http'}://{self._host_and_port(member)}/v3/{path.lstrip('/')}"

    def _host_and_port(self, member: int) -> str:
        host, port = self._url.members[member]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _leave(self, member: int) -> None:
        if self._current == member:  # else another thread has left it already
            self._current = (member + 1) % len(self._url.members)

    def _headers(self) -> dict[str, str]:
        """The token that etcd gave for the user and password of the environment, which are read anew each time."""
        with self._sign_in_lock:
            if self._token is None:
                self._token = self._sign_in(credentials())
            return {"Authorization": self._token} if self._token else {}

    def _sign_in(self, who: Credentials) -> str:
        if not who.user:
            return ""
        try:
            return str(self._post("/auth/authenticate", {"name": who.user, "password": who.password}, "", {})["token"])
        except UnavailableError:
            raise
        except StoreError as error:
            if "not enabled" in str(error):
                return ""
            raise StoreError(
                f"etcd refused user {who.user!r} ({error}); look at ETCDCTL_USER and ETCDCTL_PASSWORD"
            ) from None


def refusal(path: str, answer: str, about: str = "") -> StoreError:
    """etcd's refusal as ours; gateways of different versions put text and code in different places."""
    try:
        told: Any = json.loads(answer)
        told = told["error"] if isinstance(told.get("error"), dict) else told
        text, code = str(told.get("message") or told.get("error")), told.get("code", told.get("grpc_code"))
    except (ValueError, AttributeError):
        text, code = answer.strip().partition("\n")[0], None
    if code in _UNAVAILABLE or "too many requests" in text:
        return UnavailableError(text)
    if "has been compacted" in text:
        return CompactedError(f"{about or path} was compacted away")
    if "is a future revision" in text:
        return FutureRevisionError(f"{about or path} does not exist yet")
    if "lease not found" in text:
        return LeaseNotFoundError(f"{about or path} has lapsed or never was; grant a new one")
    hints = [f"; {hint}" for seen, hint in _HINTS.items() if seen in text]
    signed_out = code == _UNAUTHENTICATED or any(seen in text for seen in _SIGNED_OUT)
    return (SignedOutError if signed_out else StoreError)(f"{path}: {text}" + "".join(hints))


def _session(url: EtcdUrl) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = url.cacert or True
    session.cert = (url.cert, url.key) if url.cert else None
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=len(url.members), pool_maxsize=POOLED_CONNECTIONS))
    return session


def _reason(error: BaseException) -> str:
    """The innermost words of what requests wraps in several layers."""
    wrapped = error.args[0] if error.args else error
    return str(getattr(wrapped, "reason", None) or error)


def _result(path: str, message: Json, about: str) -> Json:
    """A message without the envelope that streams have."""
    if "error" in message:
        raise refusal(path, json.dumps(message), about)
    result: Json = message.get("result", message)
    return result
