"""A dry run: one candidate for two steps on the CPU, in a slot's sandbox, before it may cost a trial.

    runner = DryRunner(experiment)
    error = await runner.run(source)      # None: it runs, and its model is one that can be scored

It finds typos, wrong shapes and dtypes, a `train` that returns nothing or hangs, models that look ahead or are not
finite. Sequence and batch are shortened, everything else is as the candidate says, the size of its model included. It
runs on random tokens, on the CPU, in float32 and without torch.compile: what fails on a GPU alone, it does not see.
"""

import asyncio
import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from autoresearch_ray.benchmark.data.rows import SplitSize
from autoresearch_ray.benchmark.sandbox.cgroup import usable_memory
from autoresearch_ray.benchmark.trial.candidate_module import FILE
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot, SlotError
from autoresearch_ray.common.paths import OUTPUT_FILE
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.experiment import Experiment

ATTEMPTS = 3  # tries when another process killed the candidate's
MEMORY_SHARE = 0.5  # share of the machine's memory
SECONDS = 60.0
MAX_SEQ_LEN = 128  # tokens
ROWS = {"train": 64, "val": 4, "holdout": 4}
TAIL = 2000  # characters of a traceback
STUCK = re.compile(rf'File "{FILE}", line (\d+) in (\w+)')  # faulthandler's lines, the innermost first
STUCK_FRAMES = 3
HEAD = "Traceback (most recent call last):\n"
FRAME = re.compile(r'  File "(?P<file>[^"]*)", line \d+, in .*\n(?:    .*\n)*')


class DryRunner:
    """Dry runs of one experiment's candidates, one after the other, on a slot of its own. For asyncio.

    The first run may wait for the slot's process server, which imports torch; others take a second or a few.
    """

    def __init__(self, experiment: Experiment, isolation: str = "best", hidden: tuple[Path, ...] = ()) -> None:
        """`isolation` and `hidden` as of a slot."""
        self._experiment = experiment
        self._memory_mb = int(MEMORY_SHARE * usable_memory() / 2**20)
        self._closed = False
        self._slot = Slot(threads=1, isolation=isolation, hidden=hidden)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dry-run")  # the one thread that has the slot
        self._thread.submit(self._slot.start)

    async def run(self, text: str) -> str | None:
        """See `dry_run`. Closing the runner stops a candidate under way, without an error."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, text)

    def close(self) -> None:
        """Stop what is under way, and end the slot's processes; again, it does nothing."""
        if self._closed:
            return
        self._closed = True
        self._slot.interrupt()
        self._thread.submit(self._slot.__exit__, None, None, None).result()
        self._thread.shutdown()

    def _run(self, text: str) -> str | None:
        found = None
        for _ in range(ATTEMPTS):
            if self._closed:
                return None
            try:
                found = dry_run(self._slot, text, self._experiment, memory_mb=self._memory_mb)
            except SlotError:
                if not self._closed:
                    raise
            if self._slot.result.status != "lost":
                break
        return found


def dry_run(
    slot: Slot, source: str, experiment: Experiment, *, threads: int = 1, memory_mb: int = 0, seconds: float = SECONDS
) -> str | None:
    """The candidate's error, with the end of its traceback; None if nothing was found.

    Takes the slot for a second or a few; `seconds` are the limit of each of start-up, training and scoring. `threads`
    are the slot's, `memory_mb` as of a trial.
    """
    with tempfile.TemporaryDirectory(prefix="autoresearch-dry-") as name:
        data, output = Path(name, "data"), Path(name, "output")
        seq_len = write_random_rows(data, experiment)
        job = Job(
            source=source,
            dataset_folder=str(data),
            seed=0,
            budget_seconds=experiment.budget_seconds,
            device="cpu",
            amp="none",
            threads=threads,
            memory_mb=memory_mb,
            gpu_fraction=0.0,
            dry_seconds=seconds,
        )
        for _ in slot.run(job, output):
            pass
        if slot.result.status == "ok":
            return None
        printed = (output / OUTPUT_FILE).read_text(errors="replace")
        return _describe(slot.result, printed, seq_len)


def write_random_rows(folder: Path, experiment: Experiment) -> int:
    """A data set of random tokens with the experiment's vocabulary; returns its sequence length."""
    seq_len, vocab_size = min(experiment.seq_len, MAX_SEQ_LEN), experiment.vocab_size
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, rows in ROWS.items():
        tokens = rng.integers(vocab_size - 1, size=(rows, seq_len + 1), dtype=np.uint16)
        tokens[:, 0] = vocab_size - 1  # the document token
        (folder / f"{split}.bin").write_bytes(tokens.tobytes())
    token_bytes = rng.integers(1, 9, size=vocab_size, dtype=np.int32)
    token_bytes[-1] = 0
    np.save(folder / "token_bytes.npy", token_bytes)
    sizes = {split: asdict(SplitSize(rows, rows * seq_len, 4 * rows * seq_len, rows)) for split, rows in ROWS.items()}
    content = {"seq_len": seq_len, "vocab_size": vocab_size, "splits": sizes}
    (folder / "meta.json").write_text(json.dumps({"name": "random", "fingerprint": "random", "content": content}))
    return seq_len


def _describe(result: Result, printed: str, seq_len: int) -> str:
    parts = [f"the dry run ended as {result.status}: {result.error}"]
    if "cuda" in result.error.lower():
        parts.append("the dry run is on the CPU: use task.device, and ask task.device.type before calling torch.cuda")
    if result.status == "timeout":
        parts.append("two steps of few rows do not take that long; does every loop end, and with task.batches?")
        parts += [f"it was at line {line}, in {name}" for line, name in STUCK.findall(printed)[:STUCK_FRAMES]]
    traceback = _of_candidate(printed.rpartition(HEAD)[2]) if HEAD in printed else ""
    if traceback:
        parts.append(HEAD + traceback[-TAIL:].rstrip())
    parts.append(f"(dry run: CPU, float32, two steps, few rows of {seq_len} tokens)")
    return "\n".join(parts)


def _of_candidate(traceback: str) -> str:
    """A traceback without the harness's frames, and of torch's the last alone; empty if it is not the candidate's."""
    frames = list(FRAME.finditer(re.sub(r'File "[^"]*/site-packages/', 'File "', traceback)))
    kept = [frame[0] for frame in frames if frame["file"] == FILE]
    if not kept:
        return ""
    last = frames[-1]
    return "".join(kept) + (last[0] if last["file"] != FILE else "") + last.string[last.end() :]
