"""States that several files begin from."""

import pytest
from outcomes import A_NUMBER, baselines, confirm, screen, told

from autoresearch_ray.decide.state import SearchState


@pytest.fixture
def started() -> SearchState:
    """Baseline 0.99, 1.00 and 1.01: mean 1.00, sd 0.01."""
    return told(SearchState(), *baselines()).state


@pytest.fixture
def advanced(started: SearchState) -> SearchState:
    """The frontier is `a`, four sd better than the baseline on two seeds."""
    return told(started, screen("a", "base", 0.95, trial_id=f"t{A_NUMBER}"), confirm("a", 0.96)).state
