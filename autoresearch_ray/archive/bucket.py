"""Objects that outlive a machine, under one URL.

    bucket = open_bucket("s3://bucket/prefix")       # or gs://bucket/prefix, file:///mnt/folder, /mnt/folder
    bucket.put("a/b", b"...")                        # whole or not at all
    bucket.create("manifests/1", b"...")             # False when it is there: of several who try, one creates it

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; GOOGLE_APPLICATION_CREDENTIALS) or from
the machine's role, never from the URL; AWS_ENDPOINT_URL names another S3 than Amazon's. Every failure is a
StorageError of one line.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore, LocalStore, ObjectStore, S3Store

from autoresearch_ray.common.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 30.0  # limit for one request with its body; no retry after it; large files go in parts of 5 MB
RETRIES = 2  # retries of a quick failure; the caller tries again too, ever more seldom
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
METADATA = ("/latest/api/token", "/latest/meta-data", "/computeMetadata/")  # addresses that tell a machine its role
RETRIED = re.compile(
    r" in \S+, after \d+ retries, max_retries: \d+, retry_timeout: \S+ +-"
)  # in the library's messages
EXPECTED = "expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or a mounted folder"


def normal_url(text: str, option: str = "--storage") -> str:
    """The URL that a person meant; a folder's is absolute. SettingsError names the option."""
    if text and not re.match(r"\w+:", text):
        return Path(text).expanduser().resolve().as_uri()
    url = urlsplit(text)
    if "@" in url.netloc:
        raise SettingsError(f"{option}: credentials do not belong into the URL; set AWS_ACCESS_KEY_ID and its like")
    is_bucket = url.scheme in ("s3", "gs") and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", url.netloc)
    is_folder = url.scheme == "file" and not url.netloc and len(url.path) > 1
    if not (is_bucket or is_folder) or url.query or url.fragment:
        raise SettingsError(f"{option} {text}: {EXPECTED}")
    return text.rstrip("/")


def open_bucket(url: str) -> "Bucket":
    """The bucket of a normal URL; no request is made yet. StorageError when it cannot be set up."""
    with _failures(url, "cannot be opened"):
        return Bucket(url, _store(url))


class Bucket:
    """Objects by name, `/` between the parts. Any thread may call."""

    def __init__(self, url: str, store: ObjectStore) -> None:
        self.url = url
        self._store = store

    def put(self, name: str, content: bytes | Path) -> None:
        """Write an object, or a file as one; it appears whole."""
        with _failures(self.url, f"{name} cannot be written"):
            obstore.put(self._store, name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that was not there; False when it was (or when an answer was lost: look what it holds)."""
        with _failures(self.url, f"{name} cannot be written"):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def get(self, name: str) -> bytes | None:
        """An object's content; None when there is none."""
        with _failures(self.url, f"{name} cannot be read"):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

    def names(self, prefix: str) -> list[str]:
        """The objects below a prefix, which ends at a `/`, in order; none when nothing is there."""
        with _failures(self.url, f"{prefix or 'it'} cannot be listed"):
            return sorted(found["path"] for found in obstore.list(self._store, prefix).collect())

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        with _failures(self.url, "objects cannot be removed"):
            for name in names:
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError:
                    continue


def _store(url: str) -> ObjectStore:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(Path(unquote(parts.path)), mkdir=True)
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "allow_http": any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS),
    }
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)}
    prefix = parts.path.strip("/") or None
    if parts.scheme == "gs":
        return GCSStore(parts.netloc, prefix=prefix, client_options=client, retry_config=retry)
    return S3Store(parts.netloc, prefix=prefix, client_options=client, retry_config=retry)


@contextmanager
def _failures(url: str, what: str) -> Iterator[None]:
    """The library's errors, and the file system's, as one line each."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{url}: {what}, there is no such bucket or folder ({_line(error)})") from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StorageError(f"{url}: {what}, the credentials are refused ({_line(error)})") from None
    except (BaseError, OSError, ValueError) as error:
        reason = _line(error)
        if any(path in str(error) for path in METADATA):
            reason = "no credentials in the environment, and this machine has no role that gives some"
        raise StorageError(f"{url}: {what} ({reason})") from None


def _line(error: Exception) -> str:
    """The first line: the rest is the library's own view of the same."""
    words = RETRIED.sub(":", " ".join(str(error).partition("\n")[0].split()))
    inner = re.search(r"<Code>(.*?)</Code>", str(error))
    return f"{inner[1]}: {words[:160]}" if inner else words[:240]
