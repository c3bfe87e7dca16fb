"""What a whole run is made of, and what it must have left behind when it is done, whatever was killed meanwhile."""

import subprocess
from pathlib import Path

import psutil
from small_run import SERVER

from autoresearch_ray.observe.tables.formats import write_table
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.search.recompute import recompute_decisions
from autoresearch_ray.settings.scoring import OURS, Scoring
from autoresearch_ray.store.history import read_history

VICTIMS = {
    "store actor": "ray::StoreActor",
    "trial actor": "ray::TrialActor",
    "candidate": SERVER,
    "proposer": "ray::ProposerActor",
}


def ours(process: psutil.Process) -> bool:
    """Whether this is an actor, a process server or a candidate of a run."""
    try:
        words = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return any(name in words for name in VICTIMS.values())


def check_whole(run: Path, trials: int, scratch: Path, scoring: Scoring = OURS) -> None:
    """Exactly the trials asked for, each decided once; one commit a step, as an unbroken run makes it."""
    history = read_history(run / "state.db")
    assert [row.trial.trial_id for row in history.rows] == [f"t{i:05d}" for i in range(1, trials + 1)]
    assert all(row.result is not None and row.decision is not None for row in history.rows)
    runs = {(row.trial.proposal.source_sha, row.trial.seed) for row in history.rows}
    assert len(runs) == trials, "no candidate is run twice on one seed"
    unbroken = Lineage(scratch / "unbroken", run.name, scoring).replay(
        history.steps, history.candidates.__getitem__, {}
    )
    assert history.commits == unbroken and len(unbroken) == len(history.steps)
    git = ["git", "-C", str(run / "lineage")]
    assert subprocess.run([*git, "fsck", "--strict"], check=True, capture_output=True, text=True).stdout == ""
    count = subprocess.run([*git, "rev-list", "--all", "--count"], check=True, capture_output=True, text=True).stdout
    assert int(count) == len(history.steps)
    write_table(trial_table(history), scratch / "again.parquet")
    assert (scratch / "again.parquet").read_bytes() == (run / "trials.parquet").read_bytes()
    again = recompute_decisions(run)
    assert len(again) == trials and again.agrees.all(), again[~again.agrees].to_string()
