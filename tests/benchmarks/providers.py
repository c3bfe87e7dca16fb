"""What slow and dead models cost the slots: nothing, if it is right. `python tests/benchmarks/providers.py [ROUNDS]`

Alternates short runs of the CPU experiment, with the tuner alone and with the tuner beside one model that takes 60 s a
call and one that nobody answers for, and prints the slots' utilisation of each (training seconds / slots x seconds
from the first trial's start to the last one's end) and the medians. Takes about 3 minutes a round.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "propose" / "llm"))
from wire import Say, WireServer

from autoresearch_ray import load_trials

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "cpu.yaml"
TRIALS, SLOTS, BUDGET_SECONDS, CALL_SECONDS = 16, 2, 10, 60.0
DEAD = "http://127.0.0.1:9"


def utilisation(folder: Path, tag: str, proposers: list[str], environment: dict[str, str]) -> float:
    """Of one run."""
    command = [sys.executable, "-m", "autoresearch_ray.launch", str(EXPERIMENT), "--plain", "--tag", tag]
    command += ["--trials", str(TRIALS), "--slots", str(SLOTS), "--budget-seconds", str(BUDGET_SECONDS), *proposers]
    subprocess.run(command, cwd=folder, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    table = load_trials(folder / "runs" / tag)
    seconds = (table.finished_at.max() - table.started_at.min()).total_seconds()
    return float(table.training_seconds.sum() / (SLOTS * seconds))


def main() -> None:
    """Both sides in turn, then their medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found: dict[str, list[float]] = {"tuner alone": [], "with a slow and a dead model": []}
    models = ["--proposer", "tpe", "--proposer", "anthropic:claude-haiku-4-5", "--proposer", "openai:gpt-5-mini"]
    slow = Say("I have no idea.", wait=CALL_SECONDS)
    with tempfile.TemporaryDirectory() as folder, WireServer("anthropic", [slow]) as server:
        environment = {
            "ANTHROPIC_API_KEY": "key-of-the-slow-one",
            "ANTHROPIC_BASE_URL": server.url,
            "OPENAI_API_KEY": "key-of-the-dead-one",
            "OPENAI_BASE_URL": DEAD,
        }
        for number in range(rounds):
            for name, proposers in zip(found, ([], models), strict=True):
                tag = f"r{number}-{len(proposers)}"
                found[name].append(utilisation(Path(folder), tag, proposers, environment))
                print(f"{name:30} {found[name][-1]:.3f}", flush=True)
    for name, values in found.items():
        print(f"{name:30} median {statistics.median(values):.3f}")


if __name__ == "__main__":
    main()
