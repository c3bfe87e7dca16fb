"""A small corpus of words in a text file, and experiments that read it, with the cache in a temporary folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_corpus import some_documents

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.settings.experiment import Experiment


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("\n\n".join(some_documents(200)), encoding="utf-8")
    return path


@pytest.fixture
def make(corpus: Path) -> Callable[..., Experiment]:
    def experiment(**changes: Any) -> Experiment:
        values: dict[str, Any] = {
            "name": "small",
            "data": str(corpus),
            "seq_len": 32,
            "vocab_size": 300,
            "eval_tokens": 1024,
            "budget_seconds": 1.0,
        }
        return Experiment(**(values | changes))

    return experiment


@pytest.fixture
def dataset(make: Callable[..., Experiment]) -> Dataset:
    return prepare(make())
