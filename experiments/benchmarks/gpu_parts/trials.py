"""Experiments for a GPU benchmark, and their trials: one after the other, or side by side on one GPU."""

import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.trial.job import Job, job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.cluster.capacity import memory_for
from autoresearch_ray.common.paths import OUTPUT_FILE
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.experiment import Constant, Experiment
from autoresearch_ray.settings.experiment_file import load_experiment
from gpu_parts.notes import Bench

EXPERIMENTS = Path(__file__).parents[2]
UPSTREAM = Path(__file__).parents[1] / "upstream_train.py"
BUDGET_SECONDS = 5.0
EVAL_TOKENS = 262_144  # of each split: what the standard library has enough of
READY_SECONDS = 120.0
TINY = {"DEPTH": 1, "WIDTH": 64, "HEADS": 1, "BATCH_ROWS": 4, "MICRO_ROWS": 2}


class PatientJob(Job):
    """A trial that may compile: its start-up may take two minutes, whatever its budget."""

    @property
    def startup_limit(self) -> float:
        return 120.0


@dataclass(frozen=True)
class Setting:
    """An experiment with its data, ready to make jobs of."""

    experiment: Experiment
    dataset: Dataset
    device: str

    def source(self, path: Path | None = None, **constants: Constant) -> str:
        """A train.py (by default the shipped one) with the experiment's constants and these written in."""
        return set_constants(
            (path or Path(self.experiment.candidate)).read_text(), dict(self.experiment.constants) | constants
        )

    def job(self, source: str, seed: int, tenants: int = 1, patient: bool = False) -> Job:
        """A trial of it as one of `tenants` on one GPU."""
        experiment = self.experiment.replace(gpus_per_trial=1 / tenants)
        memory = memory_for(tenants)
        folder = str(self.dataset.folder)
        job = job_for(experiment, source, folder, seed, device=self.device, memory_mb=memory)  # type: ignore[arg-type]  # cpu or cuda
        return PatientJob(**{name: getattr(job, name) for name in Job.__slots__}) if patient else job


def setting(bench: Bench, name: str) -> Setting:
    """The shipped experiment t4 or h100 on the standard library's text, with a budget of seconds; tiny to pretend."""
    shipped = load_experiment(EXPERIMENTS / f"{name}.yaml")
    changes = {"data": "stdlib", "corpus_mb": 0, "budget_seconds": BUDGET_SECONDS, "eval_tokens": EVAL_TOKENS}
    if bench.pretend:
        changes |= {"corpus_mb": 2, "budget_seconds": 0.5, "eval_tokens": 2048, "seq_len": 64, "vocab_size": 512}
        changes |= {"device": "cpu", "cpus_per_trial": 1, "constants": dict(shipped.constants) | TINY}
    experiment = shipped.replace(**changes)
    return Setting(experiment, prepare(experiment), bench.device)


def run(slot: Slot, job: Job) -> tuple[Result, str]:
    """One trial on a slot, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in slot.run(job, Path(folder)):
            pass
        return slot.result, (Path(folder) / OUTPUT_FILE).read_text(errors="replace")


def run_together(rounds: Sequence[Sequence[Job]], isolation: str = "best") -> list[list[tuple[Result, str]]]:
    """As `run`, jobs side by side, a slot for each column; a round begins when the one before has ended for all."""
    count = len(rounds[0])
    start = threading.Barrier(count)

    def column(number: int) -> list[tuple[Result, str]]:
        try:
            job = rounds[0][number]
            with Slot(job.threads, isolation=isolation, gpu=job.device == "cuda") as slot:
                slot.await_ready(READY_SECONDS)
                results = []
                for jobs in rounds:
                    start.wait(READY_SECONDS * 2)
                    results.append(run(slot, jobs[number]))
                return results
        except BaseException:
            start.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        columns = list(pool.map(column, range(count)))
    return [[column[number] for column in columns] for number in range(len(rounds))]


def facts(result: Result) -> dict[str, object]:
    """What of a result stands in the benchmark's tables."""
    rate = result.steps / result.training_seconds if result.training_seconds else 0.0
    return {
        "status": result.status,
        "steps/s": rate,
        "tokens/s": result.tokens_per_second,
        "val_bpb": result.val_bpb,
        "start-up s": result.startup_seconds,
        "scoring s": result.eval_seconds,
        "peak MB": result.peak_memory_mb,
        "isolation": result.isolation,
        "error": result.error[:300],
    }
