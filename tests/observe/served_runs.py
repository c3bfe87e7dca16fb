"""What tests of a served page share: requests, a trial that comes in, the command at work."""

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histories import realistic

from autoresearch_ray.live_page.server import PageServer
from autoresearch_ray.records.trials import Proposal, Result, Trial
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

SECRET = "not of the run"


def ask(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request, its path sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def add_trial(folder: Path, trial_id: str, hypothesis: str, score: float) -> None:
    """One more trial with its result, as a living run adds it."""
    source = realistic().rows[0].trial.proposal.source_sha
    proposal = Proposal(f"p-{trial_id}", "code", "anthropic:MODEL", source, source, 1, hypothesis)
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        board.start(Trial(trial_id, proposal, "screen", 7, 1_750_001_000.0))
        board.finish(Result(trial_id, "ok", val_bpb=score, started_at=1_750_001_000.0, finished_at=1_750_001_020.0))


@contextmanager
def watching(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command at work, and the URL that it has said."""
    command = [sys.executable, "-m", "autoresearch_ray.watch", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = re.fullmatch(rf"watching {run} at (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert told
        yield process, told[1]
