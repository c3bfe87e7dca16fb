"""A candidate's output on disk, capped while it is written."""

import os
from pathlib import Path

OUTPUT_LIMIT = 1 << 20  # bytes of a candidate's output that are kept


class CappedLog:
    """A file that takes the first bytes of an output and counts the rest."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._left, self._dropped = OUTPUT_LIMIT, 0

    def drain(self, descriptor: int) -> bool:
        """Take what can be read now, at most a few megabytes, so that the caller goes on. False: it is closed."""
        for _ in range(64):
            try:
                chunk = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                chunk = None
            if not chunk:
                self._file.flush()
                return chunk is None
            kept = chunk[: self._left]
            self._file.write(kept)
            self._left -= len(kept)
            self._dropped += len(chunk) - len(kept)
        return True

    def close(self) -> None:
        if self._dropped:
            self._file.write(f"\n[{self._dropped} more bytes were not kept]\n".encode())
        self._file.close()
