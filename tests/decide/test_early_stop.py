"""Early stopping on made-up curves: plain losers end, late bloomers do not, and a liar gains and spoils nothing."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from autoresearch_ray.decide.early_stop import Outlook, StopRule, outlook
from autoresearch_ray.decide.learning_curve import Pair, curve_of, fit_lines, gaps
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import CurvePoint

BUDGET, SD, PARENT_BPB = 100.0, 0.01, 1.7
Shape = Callable[[float], float]  # bpb above the parent at a share of the budget


def points_of(above: Shape, rng: np.random.Generator | None = None) -> tuple[CurvePoint, ...]:
    """The curve of a candidate that stands so far above its parent, whose loss falls as time^-0.4."""
    noise = rng.normal(size=20) * SD if rng is not None else np.zeros(20)
    at = [(share - 0.5) / 20 for share in range(1, 21)]
    losses = [1.2 + 0.5 * t**-0.4 + above(t) + n for t, n in zip(at, noise, strict=True)]
    return tuple(CurvePoint(BUDGET * k / 20, k, k, float(loss)) for k, loss in enumerate(losses, 1))


PARENT = points_of(lambda _: 0.0)


def pair(above: Shape, difference: float, rng: np.random.Generator | None = None, parent: str = "first") -> Pair:
    return Pair(parent, gaps(curve_of(points_of(above, rng), BUDGET), curve_of(PARENT, BUDGET)), difference)


def ordinary(count: int, rng: np.random.Generator) -> list[Pair]:
    """Pairs whose gap at any time is the final difference, but for noise."""
    finals = rng.normal(scale=4 * SD, size=count) + 2 * SD
    return [pair(lambda _, f=f: f, f + SD / 2 * rng.normal(), rng) for f in map(float, finals)]  # type: ignore[misc]


def rule_from(pairs: Sequence[Pair], parent: str = "first", least: int = 12) -> StopRule:
    lines = fit_lines(pairs, parent, SD, least)
    return StopRule(BUDGET, curve_of(PARENT, BUDGET), PARENT_BPB, SD, -0.4 * SD, 0.02, lines)


def end(rule: StopRule, points: Sequence[CurvePoint]) -> Outlook | None:
    """Where a child is ended; None if it runs to its end."""
    seen = [outlook(rule, points[:count]) for count in range(len(points) + 1)]
    return next((one for one in seen if one is not None and one.is_lost), None)


def test_a_plain_loser_is_ended_and_an_equal_or_better_child_is_not() -> None:
    rule = rule_from(ordinary(20, np.random.default_rng(0)))
    lost = end(rule, points_of(lambda _: 8 * SD))
    assert lost is not None and 0.2 <= lost.progress <= 0.5 and lost.probability < 0.02
    assert lost.expected_bpb == pytest.approx(PARENT_BPB + 8 * SD, abs=4 * SD)
    assert end(rule, points_of(lambda _: 0.0)) is None and end(rule, points_of(lambda _: -2 * SD)) is None
    words = lost.words()
    assert words.startswith(f"ended at {100 * lost.progress:.0f} % of its time: P(worthwhile) 0.0"), words
    assert words.endswith("its loss is 0.0800 bpb above its parent's")


def test_where_curves_cross_nothing_ends_before_they_do() -> None:
    """Until six tenths of the budget a child's gap is a coin's throw; from then on it is the final difference."""
    rng = np.random.default_rng(1)

    def crossing(final: float) -> Shape:
        before = float(rng.choice([-1, 1])) * 6 * SD
        return lambda t: before if t < 0.6 else final

    finals = [float(f) for f in rng.normal(scale=5 * SD, size=40)]
    rule = rule_from([pair(crossing(final), final, rng) for final in finals])
    winner, loser = (points_of(lambda t, f=f: 6 * SD if t < 0.6 else f) for f in (-4 * SD, 8 * SD))  # type: ignore[misc]
    assert end(rule, winner) is None
    lost = end(rule, loser)
    assert lost is not None and lost.progress > 0.6


def test_nothing_ends_before_enough_pairs_are_known() -> None:
    pairs, loser = ordinary(12, np.random.default_rng(2)), points_of(lambda _: 30 * SD)
    assert end(rule_from(pairs[:11]), loser) is None and outlook(rule_from([]), loser) is None
    assert end(rule_from(pairs), loser) is not None


@pytest.mark.parametrize("lie", [-1e9, -1.0, -0.1, 1.0, 1e9, math.nan, math.inf])
def test_a_curve_that_lies_ends_no_other_and_saves_no_other(lie: float) -> None:
    """Its real difference is that of a bad candidate; the one that reports too much comes out as good, too."""
    honest, loser = ordinary(20, np.random.default_rng(3)), points_of(lambda _: 10 * SD)
    for final in (20 * SD, -3 * SD):
        rule = rule_from([*honest, pair(lambda _: lie, final)])
        assert end(rule, points_of(lambda _: 0.0)) is None and end(rule, points_of(lambda _: -SD)) is None
        assert end(rule, loser) is not None


def test_many_lies_make_nothing_end() -> None:
    rng = np.random.default_rng(4)
    lies = [pair(lambda _, a=a: a, 0.05 * rng.normal()) for a in map(float, rng.normal(size=30))]  # type: ignore[misc]
    assert end(rule_from([*ordinary(12, rng), *lies]), points_of(lambda _: 4 * SD)) is None


def test_a_candidate_gains_nothing_by_what_it_reports() -> None:
    rule = rule_from(ordinary(20, np.random.default_rng(5)))
    assert end(rule, points_of(lambda _: -1e6)) is None, "a full run, and no more"
    assert end(rule, points_of(lambda _: 1e6)) is not None, "it ends itself"
    assert end(rule, points_of(lambda _: math.nan)) is None
    silent = [p if 5 <= p.step <= 8 else CurvePoint(p.seconds, p.step, p.tokens, math.nan) for p in PARENT]
    assert end(rule, silent) is None
    assert outlook(rule, ()) is None and end(rule, points_of(lambda _: 9 * SD)[:3]) is None, "too short"


def test_the_luck_of_one_parent_is_not_expected_of_another() -> None:
    """All children of a parent that was lucky on its seed come out 4 sd above it, though their curves are like its."""
    rng = np.random.default_rng(6)
    lucky = [
        pair(lambda _, f=f: f, f + 4 * SD, rng, "lucky")  # type: ignore[misc]
        for f in map(float, rng.normal(scale=SD, size=30))
    ]
    child = points_of(lambda _: 0.0)
    own, new = outlook(rule_from(lucky, "lucky"), child), outlook(rule_from(lucky, "another"), child)
    assert own is not None and new is not None
    assert own.is_lost and not new.is_lost and own.expected_bpb > new.expected_bpb + SD


def test_few_contenders_are_ended_where_half_of_the_children_bloom_late_or_early() -> None:
    """One child in ten is better, four are like their parent, the rest worse, some by far; a new parent every 30."""
    ended, contenders, saved, screens = 0, 0, 0.0, 0
    for seed in range(4):
        rng, pairs = np.random.default_rng(seed), list[Pair]()
        for number in range(90):
            kind = rng.random()
            final = -2 * abs(rng.normal()) if kind < 0.1 else rng.normal() / 2 if kind < 0.5 else 4 * rng.chisquare(2)
            bloom = rng.normal() * 3 if rng.random() < 0.5 else 0.0
            child = points_of(lambda t, f=final, b=bloom: SD * (f * (0.4 + 0.6 * t) + b * (1 - t)), rng)  # type: ignore[misc]
            difference = SD * float(final + rng.normal() / 3)
            lost = end(rule_from(pairs[-64:], str(number // 30)), child)
            if len(pairs) >= 12:
                screens, saved = screens + 1, saved + (0.0 if lost is None else 1 - lost.progress)
                contenders += difference < -SD / 2
                ended += lost is not None and difference < -SD / 2
            if lost is None or rng.random() < 0.1:
                gap = gaps(curve_of(child, BUDGET), curve_of(PARENT, BUDGET))
                pairs.append(Pair(str(number // 30), gap, difference))
    assert contenders > 40 and ended <= 0.05 * contenders, (ended, contenders)
    assert saved > 0.15 * screens, (saved, screens)


def test_a_curve_is_the_mean_loss_over_the_fifth_of_the_budget_before() -> None:
    points = [CurvePoint(BUDGET * k / 20, k, k, float(k)) for k in range(1, 21)]
    curve = curve_of(points, BUDGET)
    assert curve[3] == pytest.approx(2.5) and curve[19] == pytest.approx(18.5) and curve[0] == pytest.approx(1.0)
    sparse = curve_of([points[3], points[9], points[19]], BUDGET)
    assert sparse[9] == pytest.approx(10.0) and sparse[19] == pytest.approx(20.0), (
        "each point is a mean of its own time"
    )
    assert math.isnan(curve_of(points[:10], BUDGET)[10]), "the future is not known"
    assert all(math.isnan(value) for value in curve_of([], BUDGET))


def test_a_window_must_have_been_reported_to_be_compared() -> None:
    points = [CurvePoint(BUDGET * k / 20, k, k, math.nan if k == 6 else 2.0) for k in range(1, 21)]
    curve = curve_of(points, BUDGET)
    assert all(math.isnan(value) for value in curve[5:9])
    assert [*curve[:5], *curve[9:]] == pytest.approx([2.0] * 16)


def test_a_rule_crosses_to_its_slot_as_json() -> None:
    rule = rule_from([*ordinary(20, np.random.default_rng(7)), pair(lambda _: math.nan, 0.0)])
    loser = points_of(lambda _: 8 * SD)
    assert end(from_json(StopRule, to_json(rule)), loser) == end(rule, loser)
