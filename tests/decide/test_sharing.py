"""How many trials share a GPU, from tables that stand-in GPUs make."""

import json
from collections.abc import Callable

import pytest

from autoresearch_ray.cluster.capacity import packing, per_gpu, round_share
from autoresearch_ray.decide.gpu_share import choose, common_rates, common_seconds, next_tenants, show
from autoresearch_ray.records.trials import CoRun, CurvePoint

Gpu = Callable[[int], CoRun]  # so many tenants -> what each makes there


def saturating(full: float, alone: float, memory: int = 99) -> Gpu:
    """A GPU on which a trial alone makes `alone` steps a second, all together `full` at most, and `memory` fit."""

    def side_by_side(tenants: int) -> CoRun:
        if tenants > memory:
            return CoRun(tenants, failure="oom: CUDA out of memory")
        return CoRun(tenants, (min(alone, full / tenants),) * tenants)

    return side_by_side


def table_of(gpu: Gpu, most: int = 99) -> list[CoRun]:
    table: list[CoRun] = []
    while (tenants := next_tenants(table, most)) is not None:
        table.append(gpu(tenants))
    return table


@pytest.mark.parametrize(
    ("gpu", "best", "tried"),
    [
        (saturating(full=40, alone=40), 1, [1, 2, 3]),  # one trial fills it
        (saturating(full=40, alone=20), 2, [1, 2, 3, 4]),
        (saturating(full=40, alone=10), 4, [1, 2, 3, 4, 6, 8]),
        (saturating(full=40, alone=10, memory=3), 3, [1, 2, 3, 4]),  # four run out of memory
        (saturating(full=40, alone=39.5), 1, [1, 2, 3, 4]),  # one per cent more is noise
    ],
)
def test_the_most_steps_per_gpu_second_win(gpu: Gpu, best: int, tried: list[int]) -> None:
    table = table_of(gpu)
    found = choose(table)
    assert found is not None and found.tenants == best
    assert [row.tenants for row in table] == tried


def test_a_gpu_that_slows_down_under_many_is_left_to_few() -> None:
    table = table_of(lambda tenants: CoRun(tenants, (30 / tenants**1.5,) * tenants))
    found = choose(table)
    assert found is not None and found.tenants == 1 and len(table) == 3


def test_the_cpus_beside_a_gpu_bound_its_tenants() -> None:
    assert [row.tenants for row in table_of(saturating(full=100, alone=10), most=4)] == [1, 2, 3, 4]
    assert table_of(saturating(full=100, alone=10), most=0) == []


def test_nothing_is_chosen_where_not_even_one_runs() -> None:
    table = table_of(saturating(full=40, alone=40, memory=0))
    assert len(table) == 1 and choose(table) is None and choose([]) is None
    assert show(table[0]) == "1      GPU a trial: 1 at once: oom: CUDA out of memory"


def test_a_row_says_what_each_makes_and_all_together() -> None:
    assert show(CoRun(4, (10.0, 10.0, 11.0, 9.0))) == (
        "0.25   GPU a trial: 4 at once, 10 steps/s each, 40 steps per GPU-second"
    )


def test_only_the_time_that_all_train_counts() -> None:
    def curve(steps_per_second: float, seconds: int) -> list[CurvePoint]:
        return [CurvePoint(s, int(s * steps_per_second), 0, 0.0) for s in range(1, seconds + 1)]

    alone_first = [CurvePoint(5.0, 100, 0, 0.0), *(CurvePoint(5.0 + s, 100 + 10 * s, 0, 0.0) for s in range(1, 6))]
    spans = [(100.0, alone_first), (105.0, curve(10, 5))]
    assert common_seconds(spans) == 5.0
    assert common_rates(spans) == pytest.approx((10.0, 10.0)), "20 a second while it was alone are left out"
    assert common_rates([(100.0, curve(20, 10)), (102.5, curve(10, 6))]) == pytest.approx((20.0, 10.0))


def test_who_has_told_nothing_or_came_later_has_trained_with_nobody() -> None:
    point = CurvePoint(3.0, 30, 0, 0.0)
    assert common_seconds([]) == common_seconds([(0.0, [point]), (0.0, [])]) == 0.0
    assert common_seconds([(0.0, [point]), (4.0, [point])]) == 0.0


@pytest.mark.parametrize("tenants", [1, 2, 3, 4, 6, 7, 8, 9, 12, 16])
def test_a_share_is_counted_so_that_as_many_fit_as_it_was_made_for(tenants: int) -> None:
    share = round_share(1 / tenants)
    assert per_gpu(share) == tenants and packing(share) == ""
    assert round(share * 10_000) * tenants <= 10_000, "Ray rounds to ten-thousandths"


def test_the_table_survives_json() -> None:
    from pydantic import TypeAdapter

    table = (CoRun(1, (40.5,)), CoRun(2, failure="oom: no memory"))
    kept = TypeAdapter(tuple[CoRun, ...])
    assert kept.validate_json(kept.dump_json(table)) == table and json.loads(kept.dump_json(table))[0]["tenants"] == 1
