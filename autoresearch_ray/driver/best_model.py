"""A run's best, to try: the trained model that the run has kept."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch_ray.common.errors import SettingsError, StoreError, WeightsError
from autoresearch_ray.common.paths import python_command
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.records.kept_model import KeptModel, read_kept
from autoresearch_ray.records.trials import Isolation
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run

if TYPE_CHECKING:
    from autoresearch_ray.benchmark.loaded_model import LoadedModel


def load_best(run_dir: str | Path, isolation: Isolation | None = None) -> "LoadedModel":
    """The trained model of a run's proven best, which `--keep-weights best` has kept, in a process behind walls.

        with autoresearch_ray.load_best("runs/monday") as model:
            print(model.generate("import os\\n", tokens=200, temperature=0.8, seed=1))
            model.logits([model.kept.vocab_size - 1, 17, 4])   # (3, V) float32; the first token is <|bos|>
            model.state_dict()                                 # name -> tensor
            model.tokenizer, model.kept.val_bpb

    `run_dir` is a run's folder on this machine, also of a run that goes on. `isolation` is strict, best or none
    (default: the run's). Call it from a thread that outlives the model; starting takes seconds. WeightsError where the
    run has no win or has kept nothing, a file is not what was kept, or the model cannot be brought back;
    SettingsError where it is no run's folder, or the walls cannot be had.
    """
    run_dir = Path(run_dir)
    kept = find_kept(run_dir)
    from autoresearch_ray.benchmark.loaded_model import load_model  # imports torch: only when it is needed

    return load_model(run_dir, kept, isolation)


def find_kept(run_dir: Path) -> KeptModel:
    """The model that the run has kept. WeightsError says how to get one; SettingsError if there is no run."""
    kept = read_kept(run_dir)
    if kept is not None:
        return kept
    history = read_run(run_dir)
    _ = RunSettings.model_validate(history.settings).train_experiment  # a script keeps its own model
    if not facts.wins(history):
        raise WeightsError(f"{run_dir}: nothing has been proven better than its start yet; there is no best to load")
    runs = shlex.quote(str(run_dir.resolve().parent))
    launch = f"{python_command()} -m autoresearch_ray.launch --resume --tag {headline.summarise(history).tag}"
    raise WeightsError(
        f"{run_dir}: no weights of its best were kept; {launch} --runs-dir {runs} --keep-weights best "
        "runs it once more and keeps them"
    )


def describe_kept(run_dir: Path, kept: KeptModel) -> str:
    """Whose model it is, in one line; also that its run has proven a better one since, if it has."""
    won = f"step {kept.step}" + (f", commit {kept.commit[:7]}" if kept.commit else "")
    line = f"the best of run {kept.tag} ({won}), as {kept.trial_id} trained it: val_bpb {kept.val_bpb:.4f}"
    try:
        is_best = facts.best_sha(read_run(run_dir)) == kept.source_sha
    except (SettingsError, StoreError):  # a copy of the folder without its store
        is_best = True
    return line if is_best else f"{line}; the run has proven a better one since, whose weights are not kept yet"
