"""What is held for a human, and what honest candidates may do without being held."""

import pytest

from autoresearch_ray.benchmark.score.plausible import Reference, least_bpb, too_fast, too_good, too_many
from autoresearch_ray.records.trials import HELD


@pytest.mark.parametrize(
    ("zlib", "best", "score", "believed"),
    [
        (3.0, 0.0, 1.7, True),  # a first result
        (3.0, 0.0, 0.29, False),  # better than the largest models
        (3.0, 8.0, 0.8, True),  # the start had diverged
        (3.0, 1.7, 0.8, True),  # half of the best at one blow, yet what good models reach
        (3.0, 1.7, 0.7, False),
        (3.0, 0.9, 0.5, True),
        (3.0, 0.9, 0.44, False),
        (3.0, 0.4, 0.31, True),  # a run that is there already goes on
    ],
)
def test_bits_are_believed_where_models_are(zlib: float, best: float, score: float, believed: bool) -> None:
    doubt = too_good("val", score, least_bpb(zlib, Reference(best)))
    assert (doubt == "") == believed and (HELD in doubt) != believed


def test_no_score_is_no_number() -> None:
    assert too_good("val", float("nan"), 0.3)


@pytest.mark.parametrize(
    ("steps", "tokens", "believed"),
    [
        (400, 3_300_000, True),
        (2_000_000, 40_000_000, True),
        (1, 10**10, True),
        (10**9, 10**9, False),
        (1, 10**12, False),
    ],
)
def test_no_more_steps_and_tokens_are_believed_than_can_be_handed_out(steps: int, tokens: int, believed: bool) -> None:
    doubt = too_many(steps, tokens, 20.0)
    assert (doubt == "") == believed and (HELD in doubt) != believed


@pytest.mark.parametrize(
    ("rate", "score", "believed"),
    [
        (1e5, 1.6, True),
        (2e7, 1.6, True),  # n-grams that beat a transformer
        (2e8, 1.8, True),  # a model that learns nothing, but fast
        (2e8, 1.6, False),
    ],
)
def test_speed_is_doubted_only_where_it_wins_and_is_far_beyond_the_others(
    rate: float, score: float, believed: bool
) -> None:
    doubt = too_fast(rate, score, Reference(1.7, 1.6e5))
    assert (doubt == "") == believed and (HELD in doubt) != believed
    assert too_fast(rate, score, Reference(1.7)) == "", "there is nothing to compare with yet"
