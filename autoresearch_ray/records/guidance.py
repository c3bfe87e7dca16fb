"""What all results say together (`Findings`), and where the search is to look because of them (`Directives`). Records.

Both are stored: findings as they are now, directives as versions that are each written once. `val_bpb` differences are
told as gains: above 0 is better.
"""

import math
from dataclasses import dataclass
from typing import Literal

Advice = Literal["wait", "explore", "refine", "combine", "ablate", "stop"]
OPEN = "d0"  # the direction of an asking that may bring anything
PERSON, STATISTICS = "person", "statistics"  # authors of directives, beside the director's model


@dataclass(frozen=True, slots=True)
class KnobEffect:
    """What moving one knob one way is worth, all else equal, by all results together."""

    name: str
    way: str  # raised, lowered, or the value that a choice was set to
    tried: int  # candidates that moved it so
    gain: float  # bpb, for a typical move: a quarter of its range, or the choice
    low: float  # 95 % interval
    high: float


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """What ideas about one subject came to."""

    subject: str
    tried: int
    advanced: int  # taken by the frontier
    failed: int
    refused: int  # ideas that took no slot
    gain: float  # mean difference to the parent, bpb; NaN without a score
    low: float  # 95 % interval of the mean; NaN for one score
    high: float
    why: str = ""  # the most frequent way to fail or to be refused


@dataclass(frozen=True, slots=True)
class Interaction:
    """Changes that were brought together, and what that came to beside the sum of their own effects."""

    what: str
    expected: float  # gain, bpb
    measured: float
    sd: float  # of the difference between the two


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next screens are expected to bring, by those of late."""

    screens: int  # of late that this is judged by
    advanced: int  # of them
    next_screens: int
    expected: float  # gain of the next ones, bpb
    high: float  # 95 % bound of it
    bound: float  # below which it is a plateau
    is_plateau: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What all results of a run say together. Statistics alone; no held-out score is in it."""

    results: int  # screened candidates that it stands on
    at: float  # seconds since the epoch
    noise_sd: float  # of one run, J
    pair_sd: float  # of a candidate and its parent on one seed
    knobs: tuple[KnobEffect, ...]  # the surest first
    untried_knobs: tuple[str, ...]
    subjects: tuple[SubjectRecord, ...]  # of code, the most tried first
    untried_subjects: tuple[str, ...]
    interactions: tuple[Interaction, ...]  # the latest first
    outlook: Outlook
    advice: Advice
    reason: str

    @property
    def ideas(self) -> int:
        """Ideas of models that have run."""
        return sum(record.tried for record in self.subjects)

    def pairs_to_show(self, gain: float) -> int:
        """Pairs after which a true gain of this size is seen at 95 % in four of five cases."""
        if not gain > 0 or math.isnan(self.pair_sd):
            return 0
        return math.ceil(((1.645 + 0.842) * self.pair_sd / gain) ** 2)


@dataclass(frozen=True, slots=True)
class Direction:
    """Where models are asked to look."""

    name: str  # d1, d2 ...: it keeps its name as long as its title stays
    title: str
    reason: str = ""
    share: float = 1.0  # weight among the directions before anything is earned


@dataclass(frozen=True, slots=True)
class Directives:
    """Where the search is to look, from now to the next version. The human's program.md stands above it."""

    version: int  # 1, 2, 3 ...
    author: str  # PERSON, STATISTICS, or the director's model
    directions: tuple[Direction, ...]
    stops: tuple[str, ...]  # what is not worth trying any more
    note: str  # what the results say, in a few sentences
    results: int  # that were known when it was written
    at: float  # seconds since the epoch
    ideas: int = 0  # of models, that had run by then
    pinned: bool = False  # by a person: nobody else writes the next version
    off: bool = False  # by a person: no prompt shows it, and nobody writes another
    numbered: int = 0  # the last direction's number

    @property
    def is_closed(self) -> bool:
        """Whether only a person may write the next version."""
        return self.pinned or self.off


NO_DIRECTIVES = Directives(0, STATISTICS, (), (), "", 0, 0.0)
