"""A run of which tools are told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from told_run import ToldRun


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ToldRun]:
    made = ToldRun(tmp_path)
    made.begin()
    yield made
    made.store.close()


@pytest.fixture
def no_words() -> Callable[[str], None]:
    def say(line: str) -> None:
        raise AssertionError(f"nothing was to be said: {line}")

    return say
