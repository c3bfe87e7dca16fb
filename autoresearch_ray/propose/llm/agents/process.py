"""A command that runs in a folder until it ends or its time is over, and everything that it started with it.

Its processes carry a mark in their environment, so that one that left its session is found and ended too. The end of
its output is kept; a command that prints without end is ended.
"""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

MARK = "AUTORESEARCH_AGENT_CALL"
KEPT_BYTES = 4 << 20  # the end of its output that is kept: agents say the result last
MOST_BYTES = 64 << 20  # most output
PIECE_BYTES = 1 << 16
LOOK_SECONDS = 0.1
LAST_SECONDS = 1.0  # time to read the rest after the command has ended


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    how: Literal["exit", "time", "output"]
    code: int | None  # its exit status; None where it was ended
    output: str
    errors: str


async def run_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], text: str, seconds: float
) -> Ended:
    """Run it with `text` as its standard input; OSError if it cannot be started. Cancelled, it is ended as well."""
    mark = uuid.uuid4().hex
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**environment, MARK: mark},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    output, errors = _Tail(), _Tail()
    streams = [_feed(process.stdin, text), output.drain(process.stdout), errors.drain(process.stderr)]
    tasks = [asyncio.ensure_future(stream) for stream in streams]
    how: Literal["exit", "time", "output"] = "exit"
    try:
        async with asyncio.timeout(seconds):
            # Not `process.wait`: in some Pythons it waits for the streams too, which children may hold open.
            while process.returncode is None and not (output.is_flood or errors.is_flood):
                await asyncio.sleep(LOOK_SECONDS)
        await asyncio.wait(tasks, timeout=LAST_SECONDS)
    except TimeoutError:
        how = "time"
    finally:
        await asyncio.shield(asyncio.to_thread(end_marked, mark, process.pid))
        await process.wait()
        await asyncio.gather(*tasks)
    if output.is_flood or errors.is_flood:
        how = "output"
    return Ended(how, process.returncode if how == "exit" else None, output.text(), errors.text())


def end_marked(mark: str, leader: int) -> None:
    """End the process group of `leader` and every process that carries the mark, wherever it has gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for _ in range(3):  # one that was just forked is seen the next time
        found = [process for process in psutil.process_iter() if _carries(process, mark)]
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=2)


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


async def _feed(stream: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a command that does not read its input
        stream.write(text.encode())
        await stream.drain()
        stream.close()
        await stream.wait_closed()


class _Tail:
    """The end of a stream."""

    def __init__(self) -> None:
        self._kept, self._seen = bytearray(), 0

    async def drain(self, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(PIECE_BYTES):
            self._seen += len(piece)
            self._kept += piece
            if len(self._kept) > 2 * KEPT_BYTES:
                del self._kept[:-KEPT_BYTES]

    @property
    def is_flood(self) -> bool:
        """More came than may."""
        return self._seen > MOST_BYTES

    def text(self) -> str:
        return self._kept[-KEPT_BYTES:].decode(errors="replace")
