"""Histories that are costly to make, a served run, and a browser."""

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browsing
from histories import long, realistic, stored
from served_runs import SECRET

from autoresearch_ray.live_page.server import PageServer
from autoresearch_ray.records.history import History

HOSTILE = {
    "html": '</td></script><script>alert(1)</script><img src=x onerror="alert(1)">&amp;',
    "control": "a\x00b\x1b[2J\x1b[31mred\x07\x08\x7f\x9b31m",
    "lines": "tab\tone\ntwo\r\nthree\x0bfour\x0cfive\u2028six\x85seven",
    "unicode": "\u202egnirts\u202c \udc80 lone, 漢字 \U0001f9ea e\u0301 \ufeff",
    "markup": "[red]not red[/red] [/] $\\frac{$ %s {0} \\",
    "long": "x " * 5_000,
    "one word": "y" * 10_000,
    "empty": "",
}


@pytest.fixture(scope="session")
def hundred_thousand() -> History:
    return long(100_000)


@pytest.fixture(params=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with files of a trial, a conversation, and links that lead out of it."""
    folder = tmp_path / "run"
    trial = folder / "trials" / "t00004"
    trial.mkdir(parents=True)
    (folder / "calls").mkdir()
    stored(realistic(), folder)
    (trial / "output.log").write_text("<script>alert(1)</script>\n")
    (trial / "curve.csv").write_text("seconds,step\n")
    (folder / "settings.json").write_text("{}\n")
    (folder / "calls" / "openai-00001.json.gz").write_bytes(gzip.compress(b'{"calls": [{"answer": "one\\ntwo"}]}'))
    (folder / "calls" / "torn.json.gz").write_bytes(gzip.compress(b'{"calls": []}')[:-9])
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "output.log").write_text(SECRET)
    (trial / "train.py").symlink_to(tmp_path / "secret")
    (folder / "trials" / "t00005").symlink_to(tmp_path / "outside")
    (folder / "trials" / "t00006").mkdir()
    os.mkfifo(folder / "trials" / "t00006" / "output.log")
    return folder


@pytest.fixture
def server(run: Path) -> Iterator[PageServer]:
    with PageServer(run) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A browser without a fault: at the end its console has complained of nothing."""
    with browsing(tmp_path / "profile") as browser:
        yield browser
        assert browser.errors == []
