"""Places to store in: an S3 server's bucket, and a folder."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import S3Server, running_s3

from autoresearch_ray.archive.bucket import Bucket, normal_url, open_bucket

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture(params=["s3", "folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each place in turn, empty."""
    if request.param == "folder":
        return normal_url(str(tmp_path / "a disk, mounted ü"))
    server: S3Server = request.getfixturevalue("s3")
    return server.make_bucket(f"bucket{next(NUMBERS)}") + "/some/prefix"


@pytest.fixture
def bucket(url: str) -> Bucket:
    return open_bucket(url)
