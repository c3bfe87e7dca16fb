"""One execution of a script's candidate: what its slot asks for."""

import io
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autoresearch_ray.benchmark.script.command import list_shown_paths, words_of
from autoresearch_ray.benchmark.script.snapshot import Snapshot
from autoresearch_ray.benchmark.trial.job import longest_seconds
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.common.paths import find_home
from autoresearch_ray.records.trials import Candidate, Strength
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.script_experiment import AnyExperiment, ScriptExperiment

SERVER = "autoresearch_ray.benchmark.script.server"
CANDIDATE_TAR = "candidate.tar"
FOLDERS = ("run", "judge")  # working folders of its processes where the walls give them none
START_SECONDS = 60.0  # time to lay out its files


@dataclass(frozen=True, slots=True)
class ScriptJob:
    """A script's job, as a slot gets it."""

    experiment: ScriptExperiment
    candidate: Candidate
    snapshot: Snapshot
    seed: int
    device: Literal["cpu", "cuda"]
    memory_mb: int  # limit for the whole process tree; 0: no limit
    strength: Strength = "normal"  # full for a proof: the script's second score, if it has one, is read too
    asked_at: float = 0.0

    @property
    def held_out(self) -> bool:
        """See AnyJob."""
        return self.strength == "full" and bool(self.experiment.holdout)

    @property
    def phases(self) -> tuple[str, str, str]:
        """See AnyJob."""
        return "start-up", "its run", "judging"

    @property
    def startup_limit(self) -> float:
        """See AnyJob."""
        return START_SECONDS

    @property
    def training_limit(self) -> float:
        """See AnyJob."""
        return self.experiment.time_limit

    @property
    def scoring_limit(self) -> float:
        """See AnyJob."""
        return self.experiment.time_limit

    @property
    def kept_files(self) -> tuple[str, ...]:
        """See AnyJob. Empty: a script keeps its own model."""
        return ()

    def ask_at(self, now: float) -> "ScriptJob":
        """See AnyJob."""
        return self if self.asked_at else replace(self, asked_at=now)

    def pack(self, work: str) -> tuple[dict[str, Any], list[Path]]:
        """See AnyJob. The files are sent as two tars: the folder's, then the candidate's over them."""
        tar = Path(work, CANDIDATE_TAR)
        tar.write_bytes(pack_files(self.candidate.files))
        for name in FOLDERS:
            Path(work, name).mkdir()
        home, folder = find_home(), self.experiment.folder
        message = {
            "experiment": self.experiment.model_dump_json(),
            "command": words_of(self.experiment.command, folder),
            "judge": words_of(self.experiment.judge, folder) if self.experiment.judge else [],
            "editable": [path for path, _ in self.candidate.files],
            "hashes": self.snapshot.hashes,
            "seed": self.seed,
            "held_out": self.held_out,
            "memory_mb": 0 if self.device == "cuda" else self.memory_mb,  # CUDA reserves far more than it uses
            "cuda": self.device == "cuda",
            "home": str(home) if home else "",
            "folder": work,
        }
        return {"job": message}, [self.snapshot.tar, tar]


def script_slot(
    experiment: ScriptExperiment, *, cores: tuple[int, ...] = (), isolation: str = "best", hidden: tuple[Path, ...] = ()
) -> Slot:
    """A slot of this machine for an experiment's script."""
    threads = max(1, int(experiment.cpus_per_trial))
    return Slot(threads, cores, isolation, hidden, server=SERVER, shown=list_shown_paths(experiment))


def longest_job_seconds(experiment: AnyExperiment) -> float:
    """Seconds from asking a slot that has started to a result, at most: the slot itself ends what takes longer."""
    if isinstance(experiment, Experiment):
        return longest_seconds(experiment)
    return START_SECONDS + experiment.time_limit * (2 if experiment.judge else 1)


def pack_files(files: tuple[tuple[str, str], ...]) -> bytes:
    """Texts at their paths, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files:
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
