"""A kept model brought back to life, without believing its code: it computes behind walls, here one only asks.

    with load_model(Path("runs/monday")) as model:
        print(model.generate("import os\\n", tokens=200, temperature=0.8, seed=1))

The candidate's text was written by a program and read by no person. It runs in a process like those that scored it:
behind the same walls, with no file but its own. Tokens go there and logits come back through shared memory. Nothing of
it is unpickled here but plain tensors, by `weights_only`.
"""

import codecs
import os
import pickle
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import tiktoken
import torch

from autoresearch_ray.benchmark.data.tokenizer import load_tokenizer
from autoresearch_ray.benchmark.sandbox.cgroup import usable_memory
from autoresearch_ray.benchmark.sandbox.walls import check_reached
from autoresearch_ray.benchmark.trial import shared_logits
from autoresearch_ray.benchmark.trial.job import LENGTH, Job
from autoresearch_ray.benchmark.trial.shared_logits import Exchange, Layout
from autoresearch_ray.benchmark.trial.slot import SERVER_START_SECONDS, Slot, SlotError
from autoresearch_ray.common.errors import WeightsError
from autoresearch_ray.common.paths import CANDIDATE_FILE, SKELETON_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.kept_model import KeptModel, open_kept
from autoresearch_ray.records.trials import Isolation

LOAD_SECONDS, ANSWER_SECONDS = 120.0, 60.0  # limits for its process


class LoadedModel:
    """A kept model whose process runs. For one thread, which must outlive it; `close` ends the process."""

    def __init__(self, run_dir: Path, kept: KeptModel, isolation: Isolation | None = None) -> None:
        """See `load_model`."""
        self.kept = kept  # the record of the model and its score
        self._channel: socket.socket | None = None
        with ExitStack() as opened:
            weights = opened.enter_context(open_kept(run_dir, kept, WEIGHTS_FILE))
            skeleton = opened.enter_context(open_kept(run_dir, kept, SKELETON_FILE))
            source = opened.enter_context(open_kept(run_dir, kept, CANDIDATE_FILE)).read().decode()
            self.tokenizer = _read_tokenizer(run_dir, kept)
            self._weights = _read_weights(weights)
            self._slot = Slot(kept.threads, isolation=isolation or kept.isolation, hidden=(run_dir,))
            try:
                self._start(source, isolation or kept.isolation, skeleton, weights)
            except BaseException:
                self.close()
                raise

    def logits(self, tokens: Sequence[int] | Sequence[Sequence[int]] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """Logits for the token after each: float32 (T, V) for tokens (T,), or (B, T, V) for (B, T).

        T is 1 to `kept.seq_len`, V is `kept.vocab_size`. It was trained on rows that begin with `<|bos|>`, the last
        of its tokens. ValueError for other shapes or numbers, WeightsError if its code fails.
        """
        asked = np.asarray(tokens)
        if asked.ndim == 2:
            return torch.stack([self.logits(row) for row in asked])
        length, most, vocab = asked.shape[0] if asked.ndim else 0, self.kept.seq_len, self.kept.vocab_size
        if asked.ndim != 1 or not 0 < length <= most or asked.dtype.kind not in "iu":
            raise ValueError(f"tokens of shape {asked.shape}, {asked.dtype}; expected 1 to {most} whole numbers a row")
        if asked.min() < 0 or asked.max() >= vocab:
            raise ValueError(f"tokens from {asked.min()} to {asked.max()}; expected 0 to {vocab - 1}")
        self._shared.tokens[0, :length] = asked
        self._shared.tokens[0, length:] = 0  # later tokens change no earlier logits: scoring has probed that
        self._ask({"ask": 1}, ANSWER_SECONDS)
        logits = torch.from_numpy(self._shared.logits[0, :length].copy())
        if not bool(torch.isfinite(logits).all()):
            raise WeightsError(f"the model of {self.kept.trial_id} gave logits that are not finite")
        return logits

    def stream(self, prompt: str = "", tokens: int = 100, temperature: float = 0.8, seed: int = 0) -> Iterator[str]:
        """The text that goes on from `prompt`, piece by piece; without a prompt, a document from its beginning.

        At most so many `tokens`; it ends before that where the model ends the document. Temperature 0 takes the
        likeliest token each time. Equal arguments give equal text on one machine. Of a long text the model sees the
        last `kept.seq_len` - 1 tokens. ValueError, WeightsError.
        """
        if tokens < 1 or not 0 <= temperature < float("inf"):
            raise ValueError(f"tokens {tokens}, temperature {temperature}; expected 1 or more, and 0 or more")
        random = torch.Generator().manual_seed(seed)
        bos, decoder = self.kept.vocab_size - 1, codecs.getincrementaldecoder("utf-8")("replace")
        context = self.tokenizer.encode_ordinary(prompt)
        for _ in range(tokens):
            last = self.logits([bos, *context[-(self.kept.seq_len - 1) :]])[-1].double()
            if temperature == 0:
                token = int(last.argmax())
            else:
                chances = torch.softmax((last - last.max()) / temperature, dim=0)
                token = int(torch.multinomial(chances, 1, generator=random))
            if token == bos:
                break
            context.append(token)
            if piece := decoder.decode(self.tokenizer.decode_single_token_bytes(token)):
                yield piece
        if rest := decoder.decode(b"", final=True):
            yield rest

    def generate(self, prompt: str = "", tokens: int = 100, temperature: float = 0.8, seed: int = 0) -> str:
        """The whole text of `stream`, without the prompt."""
        return "".join(self.stream(prompt, tokens, temperature, seed))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The weights by name, on the CPU: plain tensors, without the candidate's code."""
        return dict(self._weights)

    def close(self) -> None:
        """End its process; afterwards it answers no more."""
        if self._channel is not None:
            self._channel.close()
        self._slot.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _start(self, source: str, isolation: Isolation, skeleton: BinaryIO, weights: BinaryIO) -> None:
        """Start its process and let it load."""
        self._slot.start()
        if not self._slot.await_ready(SERVER_START_SECONDS):
            raise SlotError("the process server of a kept model did not start; see its output above")
        check_reached(isolation, self._slot.walls)
        layout = Layout(1, self.kept.seq_len, self.kept.vocab_size, whole=True)
        memory = shared_logits.new_memory(layout.size)
        self._channel, theirs = shared_logits.channel()
        with theirs, tempfile.TemporaryDirectory(prefix="autoresearch-sample-") as folder:
            message = {"job": asdict(self._job(source)), "layout": asdict(layout), "folder": folder}
            self._slot.ask(message, [skeleton.fileno(), weights.fileno(), theirs.fileno(), memory])
            theirs.close()
            self._shared = Exchange(memory, layout)
            os.close(memory)
            self._ask({"load": True}, LOAD_SECONDS)

    def _job(self, source: str) -> Job:
        """The job for the model's process. Without a GPU, a GPU's model runs on the CPU, without its number format."""
        here = self.kept.device if self.kept.device == "cpu" or torch.cuda.is_available() else "cpu"
        return Job(
            source=source,
            dataset_folder="",
            seed=self.kept.seed,
            budget_seconds=0.0,
            device=here,
            amp=self.kept.amp if here == self.kept.device else "none",
            threads=self.kept.threads,
            memory_mb=usable_memory() >> 20,
            gpu_fraction=0.0,
        )

    def _ask(self, question: dict[str, object], seconds: float) -> dict[str, Any]:
        assert self._channel is not None
        try:
            self._channel.settimeout(seconds)
            shared_logits.tell(self._channel, question)
            answer = shared_logits.hear(self._channel)
        except TimeoutError:
            raise WeightsError(f"{self._name()} did not answer within {seconds:.0f} s") from None
        except (OSError, EOFError, ValueError, RecursionError) as error:
            raise WeightsError(f"{self._name()} answers no more ({type(error).__name__})") from None
        if "failure" in answer:
            words = answer["failure"] if isinstance(answer["failure"], list) else ["unknown"]
            raise WeightsError(f"{self._name()} failed: {one_line(' '.join(map(str, words)), LENGTH)}")
        return answer

    def _name(self) -> str:
        return f"the model of {self.kept.trial_id}, in its process behind walls ({self._slot.walls.level}),"


def load_model(run_dir: Path, kept: KeptModel, isolation: Isolation | None = None) -> LoadedModel:
    """The kept model, its files checked, in a process behind walls: `isolation`, or those of its run.

    WeightsError where a file is not what was kept, holds more than tensors, or the model cannot be brought back;
    SettingsError where the walls cannot be had.
    """
    return LoadedModel(run_dir, kept, isolation)


def _read_tokenizer(run_dir: Path, kept: KeptModel) -> tiktoken.Encoding:
    with open_kept(run_dir, kept, TOKENIZER_FILE) as file:
        try:
            encoding = load_tokenizer(Path(file.name))
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{file.name}: is no tokenizer ({error})") from None
    if encoding.n_vocab != kept.vocab_size:
        raise WeightsError(f"{file.name}: has {encoding.n_vocab} tokens, the model {kept.vocab_size}")
    return encoding


def _read_weights(file: BinaryIO) -> dict[str, torch.Tensor]:
    """The tensors in an open file, and nothing else that a file of that kind may hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns about a file that it doubts
            weights: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, OSError, Warning) as error:
        reason = one_line(str(error), 160)
        raise WeightsError(f"{file.name}: holds more or less than tensors, and is not loaded ({reason})") from None
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if not named or not all(type(value) is torch.Tensor for value in weights.values()):
        raise WeightsError(f"{file.name}: holds {type(weights).__name__}; expected a dict of tensors by name")
    file.seek(0)
    return dict(weights)
