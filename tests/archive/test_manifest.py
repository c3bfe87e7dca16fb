"""Of a run in a bucket, the newest manifest counts: whole, and of one head alone."""

from dataclasses import replace

import pytest

from autoresearch_ray.archive.bucket import Bucket, open_bucket
from autoresearch_ray.archive.manifest import KEPT, Manifest, RunStorage
from autoresearch_ray.common.errors import StorageError


def manifest(number: int, epoch: int = 1, state: str = "") -> Manifest:
    return Manifest(
        number=number,
        epoch=epoch,
        tag="x",
        created_at=1.0,
        launch=f"launch{epoch}",
        writer=f"folder{epoch}",
        holder="process 1 on host",
        at=2.0,
        store="sqlite",
        revision=number,
        state=state,
        state_sha="",
        lineage="",
    )


def stored(storage: RunStorage, before: Manifest) -> Manifest | None:
    """One upload by a head: its backup, then the manifest that names it."""
    name = f"{storage.folder(before.epoch)}/backup/{before.number + 1}"
    storage.bucket.put(name, b"backup")
    return storage.publish(replace(before, number=before.number + 1, state=name))


def many(storage: RunStorage, before: Manifest, count: int) -> Manifest:
    for _ in range(count):
        after = stored(storage, before)
        assert after is not None
        before = after
    return before


def taken_over(storage: RunStorage) -> Manifest:
    """What a new head publishes first."""
    newest = storage.newest()
    assert newest is not None
    storage.keep(newest)
    claim = storage.publish(replace(manifest(newest.number + 1, newest.epoch + 1), state=newest.state))
    assert claim is not None
    return claim


def test_the_newest_counts(bucket: Bucket) -> None:
    storage = RunStorage(bucket, "x")
    assert storage.newest() is None
    last = many(storage, manifest(0), 12)
    assert storage.newest() == last and last.number == 12


def test_a_torn_upload_is_never_seen(bucket: Bucket) -> None:
    storage = RunStorage(bucket, "x")
    last = many(storage, manifest(0), 2)
    bucket.put(f"{storage.folder(1)}/backup/3", b"half of it, and then the power went")
    newest = RunStorage(bucket, "x").newest()
    assert newest == last and bucket.get(newest.state) == b"backup"


def test_what_is_replaced_is_removed_and_what_is_named_stays(bucket: Bucket) -> None:
    storage = RunStorage(bucket, "x")
    last = many(storage, manifest(0), 10)
    kept = range(last.number - KEPT + 1, last.number + 1)
    assert bucket.names("x/manifests/") == [f"x/manifests/{number:010d}.json" for number in kept]
    assert bucket.names("x/head-0001/backup/") == sorted(f"x/head-0001/backup/{number}" for number in kept)


def test_a_late_head_is_told_and_changes_nothing(bucket: Bucket) -> None:
    old, new = RunStorage(bucket, "x"), RunStorage(bucket, "x")
    last = many(old, manifest(0), 5)
    claim = taken_over(new)
    assert stored(old, last) is None
    newest = new.newest()
    assert newest == claim and bucket.get(newest.state) == b"backup"
    assert many(new, claim, 1) == new.newest()


def test_a_head_that_is_many_uploads_late_changes_nothing_either(bucket: Bucket) -> None:
    """The number that it takes has been removed, so it may be created again; it does not count."""
    old, new = RunStorage(bucket, "x"), RunStorage(bucket, "x")
    last = many(old, manifest(0), 5)
    newest = many(new, taken_over(new), 3 * KEPT)
    assert stored(old, last) is None and stored(old, last) is None
    assert new.newest() == newest and bucket.get(newest.state) == b"backup"
    assert many(new, newest, 2) == new.newest()


def test_of_two_heads_that_take_over_at_once_one_gets_it(bucket: Bucket) -> None:
    many(RunStorage(bucket, "x"), manifest(0), 2)
    one, other = RunStorage(bucket, "x"), RunStorage(bucket, "x")
    claims = [replace(manifest(3, epoch=2), launch=name) for name in ("one", "other")]
    assert one.publish(claims[0]) == claims[0] and other.publish(claims[1]) is None
    assert other.newest() == claims[0]


def test_a_new_head_removes_what_the_old_one_left(bucket: Bucket) -> None:
    old, new = RunStorage(bucket, "x"), RunStorage(bucket, "x")
    many(old, manifest(0), 5)
    bucket.put(f"{old.folder(1)}/backup/torn", b"half")
    claim = taken_over(new)
    assert bucket.names("x/head-0001/backup/") == [claim.state]
    many(new, claim, KEPT + 1)
    assert bucket.names("x/head-0001/backup/") == []


class LosesAnswers(Bucket):
    """A bucket whose next creation happens, but nobody hears of it."""

    lossy = False

    def create(self, name: str, content: bytes) -> bool:
        done = super().create(name, content)
        if self.lossy:
            self.lossy = False
            raise StorageError("the connection is gone")
        return done


def test_a_lost_answer_is_no_other_head(url: str) -> None:
    bucket = open_bucket(url)
    bucket.__class__ = LosesAnswers
    storage = RunStorage(bucket, "x")
    last = many(storage, manifest(0), 2)
    bucket.lossy = True  # type: ignore[attr-defined]  # see above
    with pytest.raises(StorageError):
        stored(storage, last)
    after = storage.publish(replace(last, number=3, at=9.0))
    assert after is not None and after.number == 4 and storage.newest() == after


def test_a_manifest_of_another_version_is_said(bucket: Bucket) -> None:
    bucket.put("x/manifests/0000000001.json", b'{"format": 7}')
    with pytest.raises(StorageError, match="none of this version"):
        RunStorage(bucket, "x").newest()


def test_the_newest_launch_s_files_are_found(bucket: Bucket) -> None:
    storage = RunStorage(bucket, "x")
    for epoch, trials in ((1, "12"), (2, "23"), (3, "4")):
        for trial in trials:
            bucket.put(f"{storage.folder(epoch)}/trials/t{trial}/train.py", b"")
    found = storage.launches("trials", until_epoch=2)
    assert found == {
        "t1/train.py": "x/head-0001/trials/t1/train.py",
        "t2/train.py": "x/head-0002/trials/t2/train.py",
        "t3/train.py": "x/head-0002/trials/t3/train.py",
    }
