"""The knob tuner: what to change next, from every result so far.

`tpe`, the default, mixes two ways. Local: it draws 64 moves around the frontier (one to three knobs, numeric ones by
0.1 to 0.4 of their range) and takes the one that a model of all results likes best (`surrogate.py`). TPE (`tpe.py`):
once 12 results are in, three suggestions in ten take about half of their knobs from a TPE suggestion. `random` redraws
one knob of the frontier uniformly. It is an honest baseline: redrawing all knobs at once finds far less. Observations
still count when the frontier moves, because the model and TPE see values, not parents.

Mean true gain in sd of the noise over 100 simulated worlds of 14 to 18 knobs (experiments/benchmarks/tuner_mix.py;
standard error about 0.5 rich, 0.25 poor):

    trials                                                       12 rich  12 poor  24 rich  24 poor
    tpe                                                              5.0      2.1     10.3      4.4
    the model alone                                                  5.2      2.2      9.9      4.8
    local moves without a model                                      5.0      2.1      8.6      3.7
    local moves, 30 % TPE                                            5.0      2.1      8.8      3.5
    TPE on one to three knobs                                        5.0      2.1      8.4      3.4
    TPE alone, all knobs                                             3.3      0.4      8.6      2.7
    random, one knob                                                 4.1      1.7      7.0      3.1
    random, all knobs                                                2.2      0.3      3.5      0.5

After 100 and 400 trials, 8 worlds, rich then poor: tpe 20.8, 23.0, 11.4, 12.4; the model alone 21.8, 22.7, 11.5, 12.4;
local moves 18.6, 22.0, 8.4, 10.8; random, one knob 16.5, 21.3, 8.1, 11.1; TPE alone 18.4, 20.7, 7.3, 8.6. So TPE adds
nothing measurable to the model here; it stays for landscapes that are not a sum over knobs. Proposals must be fresh:
with three waiting in a queue the first line's 24 trials gain 9.0 and 3.5.

Not worth having: an advance's change once more (8.4, 3.4 at 24), the opposite of a clear failure (8.9, 3.8: the model
knows it already), normal steps with sd 0.1, 0.2, 0.3 (5.0, 6.3, 6.8 rich: most are too small to be seen in the noise),
one knob at a time (4.9), three to five (8.7, 3.5); a weight of its own for each seed in the model, so that it sees
through nine tenths of the noise (whole runs of 50 and 100 trials, 24 worlds a kind: between -0.5 and +0.2 sd, standard
error 0.4 to 0.7). Nor does it help the ledger to be told what this model predicts of a proposal: trusted a little, 50
trials gain 0.1 sd less (standard error 0.1, 80 worlds), trusted much, 0.3 less.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch_ray.candidate.knobs import Knob, set_constants, spell
from autoresearch_ray.candidate.normal_form import line_diff
from autoresearch_ray.candidate.ranges import Value, same
from autoresearch_ray.propose.tuner.knob_moves import (
    Values,
    all_units,
    every_combination,
    from_units,
    frontier_values,
    local_move,
    redraw_all,
    redraw_one,
    to_units,
)
from autoresearch_ray.propose.tuner.surrogate import best_move
from autoresearch_ray.propose.tuner.tpe import tpe_units
from autoresearch_ray.propose.tuner.unit_cache import UnitCache
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.settings.proposer_spec import TUNERS, TunerName

MOVES = 64  # local moves that the model ranks
TPE_FROM = 12  # observations
TPE_SHARE = 0.3  # share of suggestions that TPE makes from then on
TPE_KNOBS = 0.5  # share of the knobs that a TPE suggestion sets
NEAREST = 400  # results nearest to the frontier that the model and TPE see; of those in flight a quarter as many
ATTEMPTS = 20  # tries for a new combination, before drawing from the whole space


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial's knob values and its objective, lower is better; nan for a failure."""

    values: Mapping[str, Value]
    objective: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The knobs to change on the frontier, and why in one line."""

    values: Mapping[str, Value]
    hypothesis: str


@dataclass(frozen=True, slots=True)
class _Data:
    """The data behind a suggestion, as points in unit space."""

    units: np.ndarray  # (n, knobs) of the results nearest to the frontier, in their order
    objectives: np.ndarray  # (n,) nan for a failure
    running: np.ndarray  # (m, knobs)
    taken: frozenset[bytes]  # everything tried or in flight, and the frontier


class Tuner:
    """Suggests changes; all it decides by is its generator, so equal seeds and calls give equal suggestions."""

    def __init__(self, kind: TunerName, rng: np.random.Generator) -> None:
        assert kind in TUNERS, f"tuner kind {kind!r}, expected one of {TUNERS}"
        self._kind = kind
        self._rng = rng
        self._cache = UnitCache()

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Suggestion | None:
        """A combination that is neither tried nor in flight; None if there is none left.

        `knobs` are the frontier's; `running` are the values in flight or in the queue. A knob that older values lack
        counts as having the frontier's value; values outside today's ranges are left out. Values must not change
        once they were passed.
        """
        if not knobs:
            return None
        data = self._collect(knobs, observations, running)
        values = self._new(
            knobs,
            data.taken,
            lambda: self._local_or_tpe(knobs, data) if self._kind == "tpe" else redraw_one(knobs, self._rng),
        )
        return None if values is None else suggestion_of(knobs, values)

    def _collect(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> _Data:
        here = to_units(knobs, frontier_values(knobs))
        units = self._cache.rows(knobs, [o.values for o in observations])
        flying = self._cache.rows(knobs, running)
        is_inside = np.isfinite(units).all(axis=1)
        units, flying = units[is_inside], flying[np.isfinite(flying).all(axis=1)]
        objectives = np.array([o.objective for o in observations])[is_inside]
        taken = frozenset(_keys(np.vstack([units, flying, here])))
        if len(units) > NEAREST:
            distances = ((units - here) ** 2).sum(axis=1)
            nearest = np.sort(np.argsort(distances, kind="stable")[:NEAREST])
            units, objectives = units[nearest], objectives[nearest]
        return _Data(units, objectives, flying[-NEAREST // 4 :], taken)

    def _new(self, knobs: Sequence[Knob], taken: frozenset[bytes], propose: Callable[[], Values]) -> Values | None:
        """The first proposal that is not taken, else one from what is left of the whole space."""
        for attempt in range(2 * ATTEMPTS):
            values = propose() if attempt < ATTEMPTS else redraw_all(knobs, self._rng)
            if _leave_out_taken(knobs, [values], taken):
                return values
        left = _leave_out_taken(knobs, every_combination(knobs) or (), taken)
        return left[int(self._rng.integers(len(left)))] if left else None

    def _local_or_tpe(self, knobs: Sequence[Knob], data: _Data) -> Values:
        if len(data.units) >= TPE_FROM and self._rng.random() < TPE_SHARE:
            drawn = from_units(knobs, tpe_units(knobs, data.units, data.objectives, data.running, self._rng))
            return {k.name: drawn[k.name] if self._rng.random() < TPE_KNOBS else k.value for k in knobs}
        moves = [local_move(knobs, self._rng) for _ in range(MOVES)]
        moves = _leave_out_taken(knobs, moves, data.taken) or moves
        if not len(data.units):
            return moves[0]
        here = to_units(knobs, frontier_values(knobs))
        return moves[best_move(knobs, data.units, data.objectives, here, all_units(knobs, moves), self._rng)]


def knob_proposal(
    source: str, suggestion: Suggestion, proposal_id: str, proposer: str, parent_sha: str, parent_version: int
) -> tuple[Proposal, str]:
    """The parent's text with the suggested values written in, and its record."""
    text = set_constants(source, suggestion.values)
    added, removed = line_diff(source, text)
    sha = Candidate.of(text).sha
    proposal = Proposal(
        proposal_id, "knobs", proposer, sha, parent_sha, parent_version, suggestion.hypothesis, added, removed
    )
    return proposal, text


def _leave_out_taken(knobs: Sequence[Knob], many: Sequence[Values], taken: frozenset[bytes]) -> list[Values]:
    keys = _keys(all_units(knobs, many))
    return [values for values, key in zip(many, keys, strict=True) if key not in taken]


def _keys(units: np.ndarray) -> list[bytes]:
    """Keys that tell points apart."""
    return [row.tobytes() for row in units.round(9)]


def suggestion_of(knobs: Sequence[Knob], values: Mapping[str, Value]) -> Suggestion:
    """The knobs that change, and in words how."""
    changed = [knob for knob in knobs if not same(values[knob.name], knob.value)]
    words = (f"{k.name} {spell(k.value)} -> {spell(values[k.name])}" for k in changed)
    return Suggestion({k.name: values[k.name] for k in changed}, ", ".join(words))
