"""Processes side by side on one GPU: a cap on memory, equal and unequal company, MPS, `--gpus-per-trial auto`."""

import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator

from autoresearch_ray.benchmark.sandbox import mps
from autoresearch_ray.decide.gpu_share import common_rates, common_seconds
from autoresearch_ray.records.trials import Result
from gpu_parts import product, trials
from gpu_parts.notes import Bench

TENANTS = (1, 2, 4)
GREEDY = """
import torch

def train(task):
    next(task.batches(4))
    hoard = []
    while True:  # 256 MB at a time, until it is refused
        hoard.append(torch.ones(1 << 26, device=task.device))
        print(len(hoard), "times 256 MB", flush=True)
"""
SECOND_PROCESS = """
import subprocess, sys, time
import torch

CHILD = '''
import sys, time, torch
hoard = []
try:
    while len(hoard) < 400:
        hoard.append(torch.ones(1 << 26, device=sys.argv[1]))
except Exception as error:
    print(type(error).__name__)
print("a second process took", len(hoard) * 256, "MB", flush=True)
time.sleep(60)
'''

def train(task):
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size).to(task.device)
    child = None
    for x, y in task.batches(4):
        if child is None:
            child = subprocess.Popen([sys.executable, "-c", CHILD, task.device.type])
    return model
"""


def measure(bench: Bench) -> None:
    """All of it, by importance."""
    t4 = trials.setting(bench, "t4")
    with bench.attempt("a greedy process beside three others"):
        greedy(bench, t4, "greedy", GREEDY)
    with bench.attempt("equal company"):
        equal_company(bench, t4, "by turns")
    if bench.enough_time("MPS", 30):
        with bench.attempt("equal company under MPS"), mps_daemon(bench) as runs:
            if runs:
                equal_company(bench, t4, "MPS")
    if bench.enough_time("unequal company", 15):
        with bench.attempt("unequal company"):
            unequal_company(bench, t4)
    if bench.enough_time("a second process that is not held by the cap", 15):
        with bench.attempt("a second process"):
            greedy(bench, t4, "second process", SECOND_PROCESS)
    if bench.enough_time("--gpus-per-trial auto", 45):
        with bench.attempt("--gpus-per-trial auto"):
            automatic(bench)


def greedy(bench: Bench, t4: trials.Setting, name: str, source: str) -> None:
    """One candidate that takes all the memory it gets, and neighbours that only want their own."""
    tenants = 2 if bench.pretend else 4
    jobs = [t4.job(source, 0, tenants), *(t4.job(t4.source(), seed, tenants) for seed in range(1, tenants))]
    if bench.pretend:
        jobs = [dataclasses.replace(job, memory_mb=1200) for job in jobs]
    (first, output), *others = trials.run_together([jobs])[0]
    bench.row(name, who=name, **trials.facts(first), output=output[-300:])
    for other, _ in others:
        bench.row(name, who="neighbour", **trials.facts(other))


def equal_company(bench: Bench, t4: trials.Setting, means: str) -> None:
    """The same candidate with the same seeds as one of 1, 2 and 4, each with its share of the memory."""
    source = t4.source()
    for tenants in TENANTS[:2] if bench.pretend else TENANTS:
        (together,) = trials.run_together([[t4.job(source, seed, tenants) for seed in range(tenants)]])
        results = [result for result, _ in together]
        spans = [(one.started_at + one.startup_seconds, one.curve) for one in results]
        rates = common_rates(spans) if common_seconds(spans) > 0 else ()
        bench.row(
            "company",
            means=means,
            tenants=tenants,
            statuses=" ".join(one.status for one in results),
            steps_per_gpu_second=sum(rates),
            each=" ".join(f"{rate:.2f}" for rate in rates),
            val_bpb_of_seed_0=results[0].val_bpb,
            val_bpb_mean=statistics.fmean(one.val_bpb for one in results),
            peak_mb=max(one.peak_memory_mb for one in results),
            isolation=results[0].isolation,
        )
        _show_failures(bench, results)


def unequal_company(bench: Bench, t4: trials.Setting) -> None:
    """The same candidate beside one three times as wide: what unequal company does to a score."""
    wide = t4.source(WIDTH=192 if bench.pretend else 768)
    (same, _), (other, _) = trials.run_together([[t4.job(t4.source(), 0, 2), t4.job(wide, 1, 2)]])[0]
    bench.row("unequal company", who="the same candidate", **trials.facts(same))
    bench.row("unequal company", who="its wide neighbour", **trials.facts(other))


@contextlib.contextmanager
def mps_daemon(bench: Bench) -> Iterator[bool]:
    """A real MPS daemon for as long as it is needed; False, and said so, where there is none to start."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        bench.row("left out", what="MPS", reason="no nvidia-cuda-mps-control on this machine")
        yield False
        return
    folder = bench.folder / "mps"
    folder.mkdir()
    folder.chmod(0o755)
    changed = {mps.PIPES: str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
    os.environ |= changed
    try:
        subprocess.run([control, "-d"], check=True, timeout=20)
        bench.row("MPS", running=mps.is_running(), folder=str(folder))
        yield mps.is_running()
    finally:
        subprocess.run([control], input="quit\n", text=True, timeout=20, check=False)
        for log in folder.glob("*.log"):
            bench.row("MPS", log=log.name, end=log.read_text(errors="replace")[-1500:])
        for name in changed:
            del os.environ[name]


def automatic(bench: Bench) -> None:
    """What `launch --gpus-per-trial auto` finds, with its own eyes."""
    path = product.write_experiment(bench, "t4")
    with product.cluster(bench) as (address, _):
        product.launch(bench, path, address, "--trials", "4", "--gpus-per-trial", "auto", tag="auto")
    settings = json.loads((bench.folder / "runs" / "auto" / "settings.json").read_text())
    for row in settings["sharing"]:
        rates = row["steps_per_second"]
        bench.row("auto", tenants=row["tenants"], steps_per_gpu_second=sum(rates), failure=row["failure"])
    bench.row("auto", chosen_share=settings["experiment"]["gpus_per_trial"], slots=settings["slots"])


def _show_failures(bench: Bench, results: list[Result]) -> None:
    for one in results:
        if one.status != "ok":
            bench.row("failed trials", **trials.facts(one))
