"""A run that takes seconds: a small candidate with knobs, on words, through the real command line."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board

SERVER = "autoresearch_ray.benchmark.trial.server"  # what a process list shows of a slot's processes
assert importlib.util.find_spec(SERVER), f"{SERVER} has moved: tests that look for its processes would find none"
CANDIDATE = """\
import torch

LR = 0.1  # SGD learning rate; search log(0.001, 10.0)
WIDTH = 16  # hidden units; search log_int(4, 64)
ROWS = 4  # rows a step; search log_int(2, 32)


def train(task):
    torch.manual_seed(task.seed)
    model = torch.nn.Sequential(torch.nn.Embedding(task.vocab_size, WIDTH), torch.nn.Linear(WIDTH, task.vocab_size))
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    for x, y in task.batches(ROWS):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.report(loss)
    return model
"""
EXPERIMENT = """\
name: small
data: words.txt
seq_len: 32
vocab_size: 300
eval_tokens: 1024
budget_seconds: 0.5
device: cpu
"""
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "then", "1234", "grüne", "fish", "didn't", "it"]


def write_experiment(folder: Path, candidate: str = CANDIDATE, experiment: str = EXPERIMENT) -> Path:
    """The experiment's YAML file in `folder`, with its candidate, program and data beside it."""
    lines = (" ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(20, 90)) for i in range(1, 200))
    (folder / "words.txt").write_text("\n\n".join(f"{i} {line}" for i, line in enumerate(lines)))
    (folder / "train.py").write_text(candidate)
    (folder / "program.md").write_text("# Find a better train.py\n")
    (folder / "e.yaml").write_text(experiment)
    return folder / "e.yaml"


def settings_of(request: Request) -> RunSettings:
    """The settings of a new run on this machine, its data not looked at."""
    run = new_run(request, request.tag or "x")
    return run.settle(run.slots or 1)


def measure_baseline(board: Board, settings: RunSettings) -> None:
    """The start of a run has a result: before it no model is asked."""
    sha = board.candidates.put(Candidate.of(settings.baseline))
    start = Proposal("baseline", "baseline", "search", sha, sha, 1, "the baseline")
    board.start(Trial("t00001", start, "baseline", seed=1, claimed_at=0.0))
    board.finish(Result("t00001", "ok", val_bpb=1.5))


def start_launch(
    folder: Path,
    *arguments: str,
    before: Sequence[str] = (),
    program: Sequence[str] = ("--program", "program.md"),
    **variables: str,
) -> subprocess.Popen[str]:
    """The command line in a process of its own, in `folder`, with its cache there and these variables.

    `before` is the start of a command that runs another; `program` names what steers the search.
    """
    command = [
        *before,
        sys.executable,
        "-m",
        "autoresearch_ray.launch",
        "--plain",
        *program,
        *arguments,
    ]
    environment = os.environ | {"AUTORESEARCH_HOME": "home", "PYTHONUNBUFFERED": "1"} | variables
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Its lines up to one with these words; AssertionError with them all if it ends first."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("".join(lines))


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below one, and none of anybody else's."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_gone(processes: list[psutil.Process], seconds: float = 15.0) -> list[psutil.Process]:
    """Those that are still there after so long."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def git(folder: Path, *words: str) -> str:
    """What a git command prints in a folder."""
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def branches(repository: Path) -> str:
    """Its branches and their tips, a line each."""
    return git(repository, "for-each-ref", "--format=%(refname) %(objectname)")
