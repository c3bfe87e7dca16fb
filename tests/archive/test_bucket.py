"""Objects in a bucket or a folder: whole, created once, and every failure one line."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import S3Server

from autoresearch_ray.archive.bucket import Bucket, normal_url, open_bucket
from autoresearch_ray.common.errors import SettingsError, StorageError


def test_what_was_put_is_there(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (12 << 20))  # goes in parts
    bucket.put("a/small", b"1")
    bucket.put("a/large", tmp_path / "large")
    bucket.put("b", b"2")
    assert bucket.get("a/small") == b"1" and bucket.get("a/large") == b"x" * (12 << 20)
    assert bucket.names("a/") == ["a/large", "a/small"]
    bucket.put("a/small", b"3")
    assert bucket.get("a/small") == b"3"
    bucket.delete(["a/small", "a/large", "gone"])
    assert bucket.names("a/") == [] and bucket.get("a/small") is None and bucket.get("b") == b"2"


def test_nothing_is_there_at_first(bucket: Bucket) -> None:
    assert bucket.names("a/") == [] and bucket.get("a/b") is None


def test_an_object_is_created_once(bucket: Bucket) -> None:
    assert bucket.create("n/1", b"first")
    assert not bucket.create("n/1", b"second")
    assert bucket.get("n/1") == b"first"


def test_of_many_creators_one_wins(tmp_path: Path) -> None:
    bucket = open_bucket(normal_url(str(tmp_path)))
    with ThreadPoolExecutor(16) as pool:
        for number in range(20):
            won = list(pool.map(lambda who, n=number: bucket.create(f"{n}", str(who).encode()), range(16)))
            assert won.count(True) == 1 and bucket.get(f"{number}") == str(won.index(True)).encode()


def one_line(url: str) -> str:
    with pytest.raises(StorageError) as caught:
        open_bucket(url).create("a/b", b"")
    with pytest.raises(StorageError):
        open_bucket(url).names("a/")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(url)
    return str(caught.value)


def test_a_bucket_that_is_none_is_said(s3: S3Server) -> None:
    assert "there is no such bucket" in one_line("s3://nobody-has-made-this")


def test_refused_credentials_are_said(s3: S3Server) -> None:
    url = s3.make_bucket("locked")
    with s3.strangers_refused():
        line = one_line(url)
    assert "the credentials are refused" in line and "hunter2" not in line


def test_a_server_that_is_away_is_said(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "cannot be written" in one_line("s3://bucket")


def test_missing_credentials_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    assert "no credentials in the environment" in one_line("s3://bucket")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be opened"):
        open_bucket(normal_url(str(tmp_path / "file" / "below")))


def test_a_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normal_url("here/it is") == (tmp_path / "here" / "it is").as_uri()
    assert normal_url("s3://bucket/prefix/") == "s3://bucket/prefix"
    open_bucket(normal_url("here/it is")).put("a", b"1")
    assert (tmp_path / "here" / "it is" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("text", ["", "s3://", "s3:/bucket", "s3:///x", "ftp://x/y", "file://host/x", "s3://b/x?y=1"])
def test_a_url_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected s3://BUCKET/PREFIX"):
        normal_url(text)


def test_a_secret_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="credentials do not belong into the URL") as caught:
        normal_url("s3://key:hunter2@bucket/x")
    assert "hunter2" not in str(caught.value)
