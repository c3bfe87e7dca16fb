"""One run in a bucket: numbered manifests, each of which names what belongs together.

    <tag>/manifests/0000000042.json     created once, never written again; the highest number counts
    <tag>/head-0002/backup/...          store and lineage that manifests name, of the second launch that wrote here
    <tag>/head-0002/...                 its trials, table and report, as in the run's folder

A manifest's objects are stored before the manifest, so a torn upload is never seen. Each launch takes the next number
with the next epoch, and writes only in its epoch's folder. If two heads take one number, the bucket lets one of them
create it. The other is told (`publish` gives None), however late it wakes, because numbers leave no gaps. A head
removes replaced objects only after it has seen its own manifest to be the newest. So a late head removes nothing that
another one still needs.

This needs create-if-absent, and listings that show what was created. S3, Google Cloud Storage and file systems with
hard links have both.
"""

from collections import deque
from dataclasses import dataclass, replace

from autoresearch_ray.archive.bucket import Bucket
from autoresearch_ray.common.errors import RecordError, StorageError
from autoresearch_ray.records.codec import from_json, to_json

KEPT = 3  # newest manifests whose backups are kept: a reader of an older one has that long to fetch them
LOOKS = 5  # at a newest manifest that is removed while it is read


@dataclass(frozen=True, slots=True)
class Manifest:
    """The objects that belong together at one moment."""

    number: int
    epoch: int  # launches that wrote here, this one included
    tag: str
    created_at: float  # the run's id; it tells runs of one tag apart
    launch: str  # random name of the launch that wrote it
    writer: str  # the run's folder that it was made from, a random name
    holder: str  # its process, for people
    at: float
    store: str  # sqlite, or the etcd where the state is
    revision: int  # the backup's revision; 0 without one
    state: str  # the backup's object, a SQLite file in gzip; "" for none yet, or on etcd
    state_sha: str  # sha256 of that object, hex
    lineage: str  # the lineage's git bundle; "" for none yet

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet to go on from."""
        return self.store == "sqlite" and not self.state


class RunStorage:
    """The place of one run in a bucket."""

    def __init__(self, bucket: Bucket, tag: str) -> None:
        self.bucket, self.tag = bucket, tag
        self._kept: deque[Manifest] = deque(maxlen=KEPT)  # the newest manifests known, oldest first
        self._is_settled = False  # whether the manifest names nothing of earlier launches

    @property
    def url(self) -> str:
        """The storage's address, for people."""
        return f"{self.bucket.url}/{self.tag}"

    def folder(self, epoch: int) -> str:
        """The folder that only the launch of this epoch writes in."""
        return f"{self.tag}/head-{epoch:04d}"

    def newest(self) -> Manifest | None:
        """The manifest that counts; None when the run was never here. StorageError."""
        for _ in range(LOOKS):
            numbers = self._numbers()
            if not numbers:
                return None
            content = self.bucket.get(self._name(numbers[-1]))
            if content is not None:
                return self._read(content)
        raise StorageError(f"{self.url}: its newest manifest is gone each time that it is read; is somebody deleting?")

    def publish(self, manifest: Manifest) -> Manifest | None:
        """Make it the newest, under the next number that is not our own already; None when another head has taken over.

        The caller has put what it names. StorageError when it is not known whether it counts: publish again.
        """
        content = to_json(manifest).encode()
        if not self.bucket.create(self._name(manifest.number), content):
            there = self.bucket.get(self._name(manifest.number))
            if there is None or self._read(there).launch != manifest.launch:
                return None
            if there != content:  # an earlier attempt of this launch wrote it, and its answer was lost
                return self.publish(replace(manifest, number=manifest.number + 1))
        numbers = self._numbers()
        if numbers and numbers[-1] > manifest.number:
            return None
        self.keep(manifest)
        self._sweep(manifest.epoch, numbers)
        return manifest

    def keep(self, manifest: Manifest) -> None:
        """Keep the objects that this manifest names until KEPT newer ones exist."""
        if manifest not in self._kept:
            self._kept.append(manifest)

    def launches(self, part: str, until_epoch: int) -> dict[str, str]:
        """The files below `part` (such as trials) of all launches up to an epoch: path below it -> object, newest's."""
        found: dict[str, str] = {}
        for epoch in range(1, until_epoch + 1):
            prefix = f"{self.folder(epoch)}/{part}/"
            found |= {name.removeprefix(prefix): name for name in self.bucket.names(prefix)}
        return found

    def _sweep(self, epoch: int, numbers: list[int]) -> None:
        """Remove what no kept manifest names, of this launch, and of earlier ones as long as something of theirs is."""
        self.bucket.delete([self._name(number) for number in numbers if number < self._kept[0].number])
        named = {name for manifest in self._kept for name in (manifest.state, manifest.lineage) if name}
        for owner in [epoch] if self._is_settled else range(1, epoch + 1):
            there = self.bucket.names(f"{self.folder(owner)}/backup/")
            self.bucket.delete([name for name in there if name not in named])
        self._is_settled = all(name.startswith(f"{self.folder(epoch)}/") for name in named)

    def _numbers(self) -> list[int]:
        names = self.bucket.names(f"{self.tag}/manifests/")
        return sorted(int(stem) for name in names if (stem := name.rpartition("/")[2].removesuffix(".json")).isdigit())

    def _name(self, number: int) -> str:
        return f"{self.tag}/manifests/{number:010d}.json"

    def _read(self, content: bytes) -> Manifest:
        try:
            return from_json(Manifest, content)
        except RecordError as error:
            raise StorageError(f"{self.url}: its newest manifest is none of this version: {error}") from None
