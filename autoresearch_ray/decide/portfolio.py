"""Who gets the next slot, and which direction the next asking: by what each arm earned for what it cost. Pure.

An arm is a proposer (the tuner, a model), or a direction that models are asked to look in. What a screened candidate
earned is its expected improvement over the frontier of that moment, E[max(0, gain)] under its posterior, and it is
corrected when another run of the candidate tells more. What it cost is the time of its slot and, of a model, the
dollars of its asking. Both fade: a screen counts half as much after `HALF_LIFE` later ones. An arm's rate is
gain per dollar, shrunk to that of all arms by `PSEUDO` screens; its share grows with the rate to the power of
`SHARPNESS`, and none falls below `FLOOR` of an equal part. The slot goes to the arm that is furthest behind its share,
as in a weighted fair queue.

The constants were chosen in simulation (experiments/benchmarks/portfolio.py).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Proposal, Result, Trial

FLOOR = 0.25  # of an equal part: what every arm keeps, however little it earned
HALF_LIFE = 48.0  # screens of the run
PSEUDO = 4.0  # screens that every arm is credited at the mean of all
SHARPNESS = 2.0  # 1: shares in proportion to rates
SLOT_HOUR_DOLLARS = 0.35  # what an hour of a slot is worth beside a model's price: about a T4 on demand
NORMAL = NormalDist()


@dataclass(slots=True)
class Earned:
    """What came of an arm's screens, faded to the one numbered `at`."""

    started: float = 0.0
    screens: float = 0.0
    gain: float = 0.0  # J
    dollars: float = 0.0
    at: int = 0

    def fade_to(self, number: int) -> "Earned":
        """Itself, with less weight on what is long ago."""
        part = 0.5 ** ((number - self.at) / HALF_LIFE)
        self.started, self.screens, self.at = part * self.started, part * self.screens, number
        self.gain, self.dollars = part * self.gain, part * self.dollars
        return self


@dataclass(slots=True)
class _Screen:
    """A candidate's first run, and what it is known to have earned."""

    arms: tuple[str, ...]
    number: int
    gain: float = 0.0


@dataclass(slots=True)
class _Undecided:
    """A trial without a decision."""

    trial: Trial
    number: int  # of the screens that were started by then
    has_ended: bool = False


class Portfolio:
    """What every arm earned so far. It depends on what was noted alone, not on how trials, results and decisions mixed.

    So a run that is resumed shares its slots as it would have. Trials come in the order of their ids; what comes twice
    counts once.
    """

    def __init__(self) -> None:
        self._earned: defaultdict[str, Earned] = defaultdict(Earned)
        self._screens: dict[str, _Screen] = {}  # by candidate
        self._undecided: dict[str, _Undecided] = {}
        self._last = ""  # trial
        self._number = 0  # of the screens that were started

    def note_trial(self, trial: Trial) -> None:
        """A trial was claimed; they come in the order of their ids."""
        if (len(trial.trial_id), trial.trial_id) <= (len(self._last), self._last):
            return
        self._last = trial.trial_id
        self._number += trial.purpose == "screen"
        self._undecided[trial.trial_id] = _Undecided(trial, self._number)
        if trial.purpose != "screen":
            return
        arms = arms_of(trial.proposal)
        self._screens.setdefault(trial.proposal.source_sha, _Screen(arms, self._number))
        for arm in arms:
            self._earned[arm].fade_to(self._number).started += 1

    def note_result(self, result: Result) -> None:
        """A trial has ended."""
        running = self._undecided.get(result.trial_id)
        if running is None or running.has_ended or running.trial.purpose != "screen":
            return
        running.has_ended = True
        part = 0.5 ** ((self._number - running.number) / HALF_LIFE)  # as if it had ended when it was claimed
        dollars = running.trial.proposal.dollars + SLOT_HOUR_DOLLARS * result.total_seconds / 3600
        for arm in arms_of(running.trial.proposal):
            earned = self._earned[arm].fade_to(self._number)
            earned.screens += part
            earned.dollars += part * dollars

    def note_decision(self, decision: Decision) -> None:
        """What a candidate's run says of it; a later run corrects what an earlier one said."""
        ended = self._undecided.pop(decision.trial_id, None)
        screen = self._screens.get(ended.trial.proposal.source_sha) if ended else None
        if ended is None or screen is None or ended.trial.purpose not in ("screen", "confirm"):
            return
        if not math.isfinite(decision.expected_gain + decision.expected_sd):
            return  # it failed, or it is the frontier by now
        gain = expected_improvement(decision.expected_gain, decision.expected_sd)
        part = 0.5 ** ((self._number - screen.number) / HALF_LIFE)
        for arm in screen.arms:
            self._earned[arm].fade_to(self._number).gain += part * (gain - screen.gain)
        screen.gain = gain

    def shares(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The part of the slots that each of these arms should get, by its weight and what it earned; they sum to 1."""
        earned = {name: self._earned[name].fade_to(self._number) for name in weights}
        screens, gain, dollars = (
            sum(getattr(one, what) for one in earned.values()) for what in ("screens", "gain", "dollars")
        )
        a_screen = (gain / screens, dollars / screens) if screens and dollars else (0.0, 1.0)
        rates = {
            name: (one.gain + PSEUDO * a_screen[0]) / (one.dollars + PSEUDO * a_screen[1])
            for name, one in earned.items()
        }
        most = max(rates.values(), default=0.0)
        worth = {
            name: weight * ((rates[name] / most) ** SHARPNESS if most > 0 else 1.0) for name, weight in weights.items()
        }
        return with_floor(worth, FLOOR / max(1, len(weights)))

    def furthest_behind(self, weights: Mapping[str, float], among: Iterable[str], busy: Mapping[str, int]) -> str:
        """The arm that has had least of its share; `busy` counts what is under way beyond the trials noted here."""
        share = self.shares(weights)
        return min(among, key=lambda name: (self._earned[name].started + busy.get(name, 0) + 1) / share[name])


def arms_of(proposal: Proposal) -> tuple[str, ...]:
    """The arms that a proposal counts for."""
    return (proposal.proposer, proposal.direction) if proposal.direction else (proposal.proposer,)


def choose(queued: Sequence[Proposal], weights: Mapping[str, float], portfolio: Portfolio) -> Proposal:
    """The queued proposal that runs next: merges and a person's first, then the oldest of who is furthest behind."""
    assert queued, "nothing is queued"
    for proposal in queued:
        if proposal.proposer not in weights:
            return proposal  # the search's own, or a person's
    waiting = dict.fromkeys(proposal.proposer for proposal in queued)
    chosen = portfolio.furthest_behind(weights, waiting, {})
    return next(proposal for proposal in queued if proposal.proposer == chosen)


def expected_improvement(gain: float, sd: float) -> float:
    """E[max(0, x)] of a normal x (Jones, Schonlau and Welch 1998, https://doi.org/10.1023/A:1008306431147)."""
    if sd <= 0:
        return max(0.0, gain)
    z = gain / sd
    return sd * (z * NORMAL.cdf(z) + NORMAL.pdf(z))


def with_floor(worth: Mapping[str, float], floor: float) -> dict[str, float]:
    """Shares in proportion to worth, none below the floor; they sum to 1."""
    raised: set[str] = set()
    while True:
        left = 1 - floor * len(raised)
        total = sum(value for name, value in worth.items() if name not in raised)
        share = {
            name: floor if name in raised else left * value / total if total > 0 else left / len(worth)
            for name, value in worth.items()
        }
        low = {name for name, value in share.items() if value < floor} - raised
        if not low:
            return share
        raised |= low
