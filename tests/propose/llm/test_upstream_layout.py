"""A checkout in upstream's layout, launched as a folder: knobs and a model's edits, a win, SIGKILL and resume.

The checkout is a stand-in (`tests/upstream_layout/`): its train.py trains for a second on a CPU, its `kernels` is
torch's attention, its data are written here in upstream's format. Nothing of it is changed for the run.
"""

import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_run import WORDS, descendants, read_until, start_launch, wait_gone
from whole_run import check_whole, ours
from wire import Reply, Request, Say, WireServer

from autoresearch_ray import load_trials
from autoresearch_ray.settings.scoring import Scoring
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

LAYOUT = Path(__file__).parents[2] / "upstream_layout"
MODEL, TRIALS, KILLED_AFTER = "claude-haiku-4-5", 12, "t00005 "
OVERTIME = 16  # trials at most, as the YAML file says that is written for a checkout
RATE = "rate = MATRIX_LR / 4\n"
GOOD = "The rate is far too low for a second of training."
SELF_REPORTED = Scoring("val_bpb", "bpb", "lower", "script")


def write_data(home: Path) -> None:
    """Two shards below the home folder, as upstream's prepare.py leaves them: the last is for validation."""
    folder = home / ".cache" / "autoresearch" / "data"
    folder.mkdir(parents=True)
    documents = [" ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(20, 90)) for i in range(1, 200)]
    for name, part in (("shard_00000.parquet", documents[:180]), ("shard_06542.parquet", documents[180:])):
        pq.write_table(pa.table({"text": part}), folder / name)


def answer(request: Request) -> Reply:
    """One great idea while the rate is as it was, then none."""
    if RATE not in request.text or "An idea of yours was made from an earlier" in request.text:
        return Say("Nothing comes to my mind.")
    edit = f"<<<<<<< SEARCH\n{RATE}=======\nrate = {8 + request.number / 100} * MATRIX_LR\n>>>>>>> REPLACE\n"
    return Say(f"<idea 1>\nhypothesis: {GOOD}\nexpected: -1\n{edit}</idea>\n")


def kill(driver: "subprocess.Popen[str]") -> None:
    """SIGKILL, and nothing of the run is left."""
    family = descendants(driver.pid)
    driver.kill()
    assert wait_gone([process for process in family if ours(process)]) == []
    for left in wait_gone(family, seconds=1):  # Ray's agents and half-started workers
        left.kill()
    driver.communicate(timeout=60)


@pytest.mark.timeout(900)  # a busy machine takes long to import torch twelve times
def test_a_checkout_is_searched_as_it_is_and_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, run = tmp_path / "autoresearch", tmp_path / "runs" / "x"
    shutil.copytree(LAYOUT, checkout, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    write_data(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-none")
    options = ("autoresearch", "--tag", "x", "--trials", str(TRIALS))
    with WireServer("anthropic", answer) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        proposers = ("--proposer", "tpe", "--proposer", f"anthropic:{MODEL}")
        first = start_launch(tmp_path, *options, *proposers, program=())
        lines = read_until(first, KILLED_AFTER)
        kill(first)
        second = start_launch(tmp_path, *options, "--resume", program=())
        output = second.communicate(timeout=700)[0]
    assert second.returncode == 0 and "Traceback" not in output, output
    assert "experiment autoresearch.yaml, written for the checkout autoresearch" in "".join(lines)
    assert before == {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    trials = len(read_history(run / "state.db").rows)
    assert TRIALS <= trials <= TRIALS + OVERTIME
    check_whole(run, trials, tmp_path, SELF_REPORTED)
    table = load_trials(run)
    assert set(table.status) == {"ok"}, table[["kind", "status", "error"]]
    assert set(table.kind) >= {"baseline", "knobs", "code"}, "the start, the tuner's values, the model's edit"
    assert (table[table.kind == "code"].hypothesis == GOOD).all()
    log = ["git", "-C", str(run / "lineage"), "log", "--format=%s", "autoresearch/x"]
    wins = subprocess.run(log, check=True, capture_output=True, text=True).stdout.splitlines()[:-1]
    assert wins, output
    assert "prints a lower `val_bpb`" in server.requests[0].text, "the checkout's own program.md"
