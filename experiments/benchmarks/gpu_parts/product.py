"""The product on one GPU: `launch` with four slots of a quarter each, tuner alone; what its table and metrics say."""

import contextlib
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml
from prometheus_client.parser import text_string_to_metric_families
from slots import measured

from autoresearch_ray import load_trials
from gpu_parts import trials
from gpu_parts.notes import Bench

SLOTS, TRIALS = 4, 24
PRETENDED_TRIALS = 6
FILLED = ("val_bpb", "steps", "tokens_per_second", "parameters", "peak_memory_mb", "device_name")
PREFIX = "ray_autoresearch_"


def measure(bench: Bench) -> None:
    """One launch, watched."""
    path = write_experiment(bench, "t4")
    with cluster(bench) as (address, metrics), bench.attempt("launch with four slots of 0.25 GPU"):
        seen: dict[str, float] = {}
        count = PRETENDED_TRIALS if bench.pretend else TRIALS
        slots = 2 if bench.pretend else SLOTS
        launch(bench, path, address, "--trials", str(count), "--slots", str(slots), watched=(metrics, seen))
        with bench.attempt("the trial table"):
            look_at_table(bench, load_trials(bench.folder / "runs" / "gpu"), count)
        bench.row("metrics", **{name.removeprefix(PREFIX): value for name, value in sorted(seen.items())})


def write_experiment(bench: Bench, name: str) -> Path:
    """The setting's experiment as a YAML file with its candidate beside it."""
    experiment = trials.setting(bench, name).experiment
    folder = bench.folder / "experiment"
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(Path(experiment.candidate).read_text())
    values = experiment.model_dump() | {"candidate": "train.py", "gpus_per_trial": 0.25, "overtime_trials": 0}
    (folder / "gpu.yaml").write_text(yaml.safe_dump(values))
    return folder / "gpu.yaml"


@contextlib.contextmanager
def cluster(bench: Bench) -> Iterator[tuple[str, str]]:
    """A Ray of this benchmark alone with the machine's GPU, or a logical one; its address and that of its metrics."""
    import ray

    gpus = {"num_gpus": 1, "num_cpus": 2} if bench.pretend else {}
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="warning", **gpus)
    try:
        (node,) = ray.nodes()
        yield ray.get_runtime_context().gcs_address, f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    finally:
        ray.shutdown()


def launch(
    bench: Bench,
    path: Path,
    address: str,
    *options: str,
    tag: str = "gpu",
    watched: tuple[str, dict[str, float]] | None = None,
) -> None:
    """Run the command line to its end; its output goes to this part's log. RuntimeError if it fails."""
    command = [sys.executable, "-m", "autoresearch_ray.launch", str(path), "--address", address, "--plain"]
    command += ["--tag", tag, "--runs-dir", str(bench.folder / "runs"), "--proposer", "tpe", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ended = threading.Event()
    if watched:
        threading.Thread(target=watch, args=(*watched, ended), daemon=True).start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print("   ", line, end="", flush=True)
    finally:
        ended.set()
        process.terminate()
        process.wait()
    bench.row("launch", options=" ".join(options), exit_status=process.returncode)
    if process.returncode:
        raise RuntimeError(f"launch ended with exit status {process.returncode}; see the log above")


def watch(address: str, seen: dict[str, float], ended: threading.Event) -> None:
    """Read the run's metrics every few seconds into `seen`, each at its last value."""
    while not ended.wait(3.0):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    if sample.name.startswith(PREFIX):
                        labels = ".".join(value for key, value in sample.labels.items() if key in ("status", "state"))
                        seen[f"{sample.name} {labels}".strip()] = sample.value


def look_at_table(bench: Bench, table: pd.DataFrame, expected: int) -> None:
    """Wins, utilisation, handover, and whether every row is complete."""
    ok = table[table.status == "ok"]
    bench.row("run", wins=int((table.decision == "keep").sum()), **measured(table))
    bench.row("statuses", **Counter(table.status))
    for _, failed in table[table.status != "ok"].iterrows():
        bench.row("failed trials", trial=failed.trial_id, status=failed.status, error=failed.error)
    kinds = ok.groupby("kind", observed=True).val_bpb.agg(["count", "mean", "min"])
    for kind, row in kinds.iterrows():
        bench.row("scores", kind=kind, runs=row["count"], mean=row["mean"], best=row["min"])
    for name in ("gpus", "cotenants", "isolation", "device_name"):
        bench.row("columns", column=name, values=dict(Counter(map(str, ok[name]))))
    empty = [name for name in FILLED if ok[name].isna().any() or (ok[name] == 0).any()]
    if len(table) != expected or empty or not len(ok):
        raise AssertionError(f"{len(table)} rows of {expected}, {len(ok)} ok; not filled everywhere: {empty}")
