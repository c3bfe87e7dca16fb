"""States that several files begin from."""

import pytest
from outcomes import run, told

from autoresearch_ray.decide.state import SearchState


@pytest.fixture
def started() -> SearchState:
    """Baseline 1.00 with sd 0.01."""
    return told(SearchState(), *(run("baseline", "base", "", v) for v in (0.99, 1.0, 1.01))).state


@pytest.fixture
def advanced(started: SearchState) -> SearchState:
    return told(started, run("screen", "a", "base", 0.96), run("confirm", "a", "a", 0.95)).state


@pytest.fixture
def on_panel() -> SearchState:
    """A baseline of 0.99, 1.00 and 1.01 on the seeds 0, 1 and 2."""
    outcomes = [run("baseline", "base", "", v, seed_number=seed) for seed, v in enumerate((0.99, 1.0, 1.01))]
    return told(SearchState(), *outcomes).state
