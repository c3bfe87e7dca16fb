"""The limits that follow from a job's budget."""

from dataclasses import replace

import pytest

from autoresearch_ray.benchmark.trial.job import Job, late_saving, overtime, too_many_cores
from autoresearch_ray.benchmark.trial.model_process import memory_share

JOB = Job("", "", 0, 20.0, "cpu", "none", 2, 1000, 0.0)


@pytest.mark.parametrize(
    ("inside", "outside", "slowest", "status"),
    [
        (20.0, 20.0, 0.05, ""),
        (20.3, 20.5, 0.05, ""),
        (20.6, 20.6, 0.05, "timeout"),  # past 2 % and two steps
        (21.5, 21.6, 1.0, ""),  # a step was under way
        (27.0, 27.0, 4.0, "timeout"),  # but no step is a third of the budget
        (19.0, 22.0, 0.05, "invalid"),  # a clock that stood still
        (0.0, 20.0, 0.05, "invalid"),
        (20.2, 20.9, 0.05, ""),  # a busy machine
    ],
)
def test_training_may_not_take_longer_than_its_budget_on_either_clock(
    inside: float, outside: float, slowest: float, status: str
) -> None:
    assert overtime(JOB, inside, outside, slowest)[0] == status


def test_a_short_budget_leaves_time_for_a_busy_machine() -> None:
    assert overtime(replace(JOB, budget_seconds=0.3), 0.5, 0.6, 0.01) == ("", "")


def test_handing_over_takes_as_long_as_the_model_is_large() -> None:
    assert late_saving(0.9, 1_000_000) == ""
    assert "allowed were 1.0 s" in late_saving(1.5, 1_000_000)
    assert late_saving(5.0, 500_000_000) == ""


def test_a_candidate_may_keep_its_slots_cores_busy_and_no_more() -> None:
    assert too_many_cores(JOB, cpu_seconds=41.0, seconds=20.0) == ""
    assert "3.0 cores busy, its slot has 2" in too_many_cores(JOB, cpu_seconds=60.0, seconds=20.0)
    assert too_many_cores(replace(JOB, device="cuda"), cpu_seconds=60.0, seconds=20.0) == ""


@pytest.mark.parametrize(("gib", "tenants", "most_gib"), [(15, 4, 3.2), (15, 1, 14.5), (80, 4, 19.5), (2, 4, 0.25)])
def test_a_trials_tensors_leave_room_for_its_context_in_its_share_of_a_gpu(
    gib: float, tenants: int, most_gib: float
) -> None:
    tensors = memory_share(1 / tenants, int(gib * 2**30)) * gib
    assert 0.9 * most_gib <= tensors <= most_gib
    assert tensors * tenants < gib


def test_a_proof_is_given_more_time_to_be_probed() -> None:
    assert replace(JOB, strength="full").scoring_limit == 2 * JOB.scoring_limit
