"""What an idle slot runs, by a clock that a test sets; with Ray Tune: test_scheduling.py."""

from autoresearch_ray.cluster.rests import REST_SECONDS, RESTS_A_SECOND, YIELD_SECONDS, Rests
from autoresearch_ray.records.trials import Proposal, Trial
from autoresearch_ray.search.search import Finished

FIRST, SECOND = (
    Trial(trial_id, Proposal("p", "knobs", "x", "s", "s", 1, "h"), "screen", 1, 0.0) for trial_id in ("t1", "t2")
)


class Scene:
    """Rests, the trials that are ready for them, and a clock."""

    def __init__(self, *ready: Trial | Finished) -> None:
        self.ready, self.clock = list(ready), 0.0
        self.rests = Rests(lambda: self.ready.pop(0) if self.ready else None, lambda: self.clock)


def test_a_slot_rests_until_a_trial_is_ready() -> None:
    scene = Scene()
    assert scene.rests.begin("a")["trial"] == "" and "a" in scene.rests
    scene.rests.claim_ahead()
    assert not scene.rests.is_enough("a", others_start=False)
    scene.ready.append(FIRST)
    scene.rests.claim_ahead()
    assert scene.rests.is_enough("a", others_start=False)
    assert not scene.rests.end("a"), "it runs what is claimed"
    assert scene.rests.take_claimed() is FIRST and not scene.rests.has_claimed and "a" not in scene.rests


def test_asking_claims_nothing() -> None:
    scene = Scene(FIRST)
    scene.rests.begin("a")
    assert not scene.rests.is_enough("a", others_start=False)
    assert scene.ready == [FIRST]


def test_one_trial_at_most_is_claimed_ahead() -> None:
    scene = Scene(FIRST, SECOND)
    for name in ("a", "b"):
        scene.rests.begin(name)
        scene.rests.claim_ahead()
    assert scene.ready == [SECOND] and scene.rests.take_claimed() is FIRST


def test_the_end_of_the_search_is_no_trial() -> None:
    scene = Scene(Finished())
    scene.rests.begin("a")
    scene.rests.claim_ahead()
    assert not scene.rests.has_claimed


def test_after_a_while_a_slot_takes_the_trial_of_one_that_starts() -> None:
    scene = Scene()
    scene.rests.begin("a")
    assert not scene.rests.is_enough("a", others_start=True)
    scene.clock = YIELD_SECONDS + 0.1
    assert not scene.rests.is_enough("a", others_start=False)
    assert scene.rests.is_enough("a", others_start=True)
    assert scene.rests.end("a"), "nothing is to be suggested for it"


def test_the_end_of_a_trial_is_no_end_of_a_rest() -> None:
    assert not Scene().rests.end("a")


def test_many_rests_are_asked_less_often() -> None:
    scene = Scene()
    seconds = [scene.rests.begin(f"slot {number}")["rest_seconds"] for number in range(100)]
    assert seconds[0] == REST_SECONDS and seconds[-1] == 100 / RESTS_A_SECOND
