"""Is a run's best really better? Both candidates again, side by side, on fresh seeds.

    python experiments/benchmarks/remeasure.py RUN_DIR [--seeds 5]

The starting candidate and the best run at the same time, each bound to one core, and change cores from seed to seed,
so that whatever else the machine does hits both. Prints each pair, the mean difference and its 95 % interval
(Student's t on the pairs).
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scipy.stats import t as student_t

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.cluster.capacity import memory_for
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

FIRST_SEED = 1_000_000  # far from what a search draws for its trials


def candidates(run_dir: Path) -> tuple[RunSettings, list[str]]:
    """The settings of a run, and the texts of its starting candidate and of its best."""
    store = SqliteStore(run_dir / "state.db")
    try:
        board = Board(store)
        settings, best = RunSettings.model_validate_json(board.settings() or b""), board.best()
        return settings, [settings.baseline, board.candidates.get(best.source_sha).text if best else settings.baseline]
    finally:
        store.close()


def measured(slot: Slot, experiment: Experiment, folder: str, source: str, seed: int, slots: int = 2) -> Result:
    """One trial on the CPU, where so many slots share the memory."""
    job = job_for(experiment, source, folder, seed, device="cpu", memory_mb=memory_for(slots))
    with tempfile.TemporaryDirectory() as output:
        for _ in slot.run(job, Path(output)):
            pass
    return slot.result


def side(core: int, experiment: Experiment, folder: str, texts: list[str], seeds: range) -> list[float]:
    """One core: first one candidate, then the other, seed by seed."""
    own = [(texts[(i + core) % 2], seed) for i, seed in enumerate(seeds)]
    with Slot(1, (core,)) as slot:
        return [measured(slot, experiment, folder, text, seed).val_bpb for text, seed in own]


def measured_pairs(experiment: Experiment, texts: list[str], count: int) -> list[tuple[float, float]]:
    """val_bpb of both texts on each of so many fresh seeds."""
    folder = str(prepare(experiment).folder)
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    with ThreadPoolExecutor(2) as pool:
        sides = list(pool.map(lambda core: side(core, experiment, folder, texts, seeds), (0, 1)))
    return [(sides[i % 2][i], sides[1 - i % 2][i]) for i in range(count)]


def main() -> None:
    """Print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    settings, texts = candidates(options.run_dir)
    if texts[0] == texts[1]:
        print(f"{options.run_dir}: the best is the starting candidate; nothing to compare")
        return
    pairs = measured_pairs(settings.train_experiment, texts, options.seeds)
    for start, best in pairs:
        print(f"start {start:.4f}  best {best:.4f}  gain {start - best:+.4f}")
    gains = [start - best for start, best in pairs]
    reach = student_t.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
    mean = statistics.mean(gains)
    print(
        f"mean gain {mean:.4f} ({mean - reach:.4f} to {mean + reach:.4f}), better in {sum(g > 0 for g in gains)} pairs"
    )


if __name__ == "__main__":
    main()
