"""Scripts on a slot without Ray: a folder with an experiment, and candidates of it that do all kinds of things."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from autoresearch_ray.benchmark.script.job import ScriptJob
from autoresearch_ray.benchmark.script.snapshot import take
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Candidate, Result, Strength
from autoresearch_ray.settings.script_experiment import ScriptExperiment

HELPER = "def rate(x):\n    return 1 - x * x\n"
JUDGE = "print('loss:', abs(float(open('answer.txt').read()) - float(open('secret.txt').read())))\n"


def script_experiment(folder: Path, **changes: Any) -> ScriptExperiment:
    """An experiment in a folder that holds nothing else, with `fit.py` to be changed and `helper.py` to be read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"fit.py": "print('loss: 1')\n", "helper.py": HELPER, "judge.py": JUDGE}.items():
        (folder / name).write_text(text)
    said: dict[str, Any] = {"name": "small", "command": "python fit.py", "editable": ("fit.py",), "metric": "loss"}
    return ScriptExperiment(contract="script", folder=str(folder), budget_seconds=1, device="cpu", **(said | changes))


@dataclass
class Place:
    """A slot, the experiment that is run there, and where trials leave their output."""

    slot: Slot
    experiment: ScriptExperiment
    output: Path

    def run(
        self, text: str, trial_seed: int = 1, memory_mb: int = 1500, strength: Strength = "normal", **changes: Any
    ) -> Result:
        """What became of this text as `fit.py`, under an experiment with these changes."""
        experiment = self.experiment.replace(**({"timeout_seconds": 60.0} | changes))
        candidate = Candidate((("fit.py", text),))
        job = ScriptJob(experiment, candidate, take(experiment), trial_seed, "cpu", memory_mb, strength)
        list(self.slot.run(job, self.output))
        return self.slot.result

    def printed(self) -> str:
        """By the last trial."""
        return (self.output / "output.log").read_text(errors="replace")

    def left(self) -> list[str]:
        """Processes of the slot besides its server."""
        children = psutil.Process(self.slot.server_pid).children(recursive=True)
        return [child.name() for child in children if "server" not in " ".join(child.cmdline())]
