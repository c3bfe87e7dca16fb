"""Documents of common words, with multi-byte letters, tabs and double spaces."""

import random
from pathlib import Path
from typing import Any

from autoresearch_ray.settings.experiment import Experiment

WORDS = ["the", "cat", "sat", "on", "a", "mat", "–", "and", "then", "1234", "grüne", "fish,", "didn't", "it?", "\t", ""]


def some_documents(count: int, seed: int = 0) -> list[str]:
    """Distinct documents of 20 to 120 words."""
    rng = random.Random(seed)
    return [f"{i}: " + " ".join(rng.choices(WORDS, k=rng.randint(20, 120))) for i in range(count)]


def small_experiment(folder: Path, **changes: Any) -> Experiment:
    """An experiment on 200 documents that are written to `folder`."""
    path = folder / "words.txt"
    path.write_text("\n\n".join(some_documents(200)), encoding="utf-8")
    values: dict[str, Any] = {"name": "small", "data": str(path), "seq_len": 32, "vocab_size": 300, "eval_tokens": 1024}
    return Experiment(**(values | {"budget_seconds": 1.0} | changes))
