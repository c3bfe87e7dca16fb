"""Run as a program: two trials on a slot, with the isolation that is named, under whatever rights this process has.

    python slot_elsewhere.py FOLDER ISOLATION [--without-namespaces]

Prints one line of JSON. `--without-namespaces` takes this process the right to make any, as most containers do.
"""

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

HONEST = """
import torch
print("user", __import__("os").getuid())
def train(task):
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size)
    for _ in task.batches(4): pass
    return model
"""


def main() -> None:
    from autoresearch_ray.benchmark.sandbox import seccomp, syscalls

    folder, isolation = Path(sys.argv[1]), sys.argv[2]
    if sys.argv[3:] == ["--without-namespaces"]:
        syscalls.forbid_new_privileges()
        seccomp.install(memory_files=True)
    logging.basicConfig(stream=sys.stderr)
    os.environ["AUTORESEARCH_HOME"] = str(folder / "home")
    sys.stdout.write(json.dumps(outcome(folder, isolation)))


def outcome(folder: Path, isolation: str) -> dict[str, object]:
    from small_corpus import small_experiment

    from autoresearch_ray.benchmark.data.dataset import prepare
    from autoresearch_ray.benchmark.trial.job import Job
    from autoresearch_ray.benchmark.trial.slot import Slot
    from autoresearch_ray.common.errors import SettingsError

    dataset = prepare(small_experiment(folder))
    job = Job(HONEST, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    with Slot(1, isolation=isolation) as slot:
        try:
            for _ in range(2):
                list(slot.run(job, folder / "trial"))
        except SettingsError as error:
            return {"status": "refused", "error": str(error)}
        output = (folder / "trial" / "output.log").read_text()
        return asdict(slot.result) | {"output": output, "curve": None, "val_bpb": None, "holdout_bpb": None}


if __name__ == "__main__":
    main()
