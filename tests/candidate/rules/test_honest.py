"""No honest candidate is refused: edits in the style of published wins, and other ways to write a trainer."""

from collections.abc import Iterator

import pytest
from honest import HERE, SHIPPED, honest

from autoresearch_ray.benchmark.trial.dryrun import dry_run
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.settings.experiment_file import load_experiment

HONEST = honest()
SMALL = {"DEPTH": 2, "WIDTH": 32, "BATCH_ROWS": 4}
EXPERIMENT = load_experiment(HERE.parents[2] / "experiments" / "cpu.yaml").model_copy(
    update={"seq_len": 32, "vocab_size": 300}
)


@pytest.fixture(scope="module")
def slot() -> Iterator[Slot]:
    with Slot(threads=1) as slot:
        yield slot


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_keeps_the_rules(name: str) -> None:
    check_candidate(HONEST[name], program_lines=60)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_passes_the_dry_run(slot: Slot, name: str) -> None:
    text = HONEST[name]
    small = set_constants(text, SMALL) if "BATCH_ROWS" in text else text
    assert dry_run(slot, small, EXPERIMENT) is None


def test_the_honest_are_many_and_each_is_another_program() -> None:
    assert len(HONEST) >= 40
    assert len({normal_sha(text) for text in HONEST.values()}) == len(HONEST)


def test_edits_leave_the_knobs_of_the_candidate() -> None:
    names = {knob.name for knob in read_knobs(SHIPPED)}
    for name, text in HONEST.items():
        assert "GPT(task.vocab_size" not in text or names <= {knob.name for knob in read_knobs(text)}, name
