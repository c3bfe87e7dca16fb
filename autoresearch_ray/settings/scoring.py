"""What a run's score is called, its unit, which way is better, and who says it.

Everything that decides reads one number a trial, `Result.val_bpb`, and lower is better. Where higher is better the
number is the score with its sign turned; a person, a model and a table see the score as it was printed.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower", "higher"]
ScoredBy = Literal["harness", "judge", "script"]  # script: the candidate's own word


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the candidates of an experiment are scored."""

    name: str = "val_bpb"
    unit: str = "bpb"  # "" for a number without one
    direction: Direction = "lower"  # which is better
    by: ScoredBy = "harness"
    has_one_seed: bool = False  # all runs share it: an edit of the order of draws passes for an improvement

    @property
    def sign(self) -> int:
        """1 where lower is better, else -1: a score times this is what decisions read, and the other way round."""
        return 1 if self.direction == "lower" else -1

    @property
    def is_ours(self) -> bool:
        """Whether it is bits per byte as the harness counts them."""
        return self == OURS

    @property
    def doubt(self) -> str:
        """What is to be said beside every win: `self-reported`, `one seed`, both, or "" where it is proven."""
        return ", ".join(
            words for words, holds in (("self-reported", self.by == "script"), ("one seed", self.has_one_seed)) if holds
        )

    @property
    def proven(self) -> str:
        """What a win is: "proven", unless all runs share one seed."""
        return "found" if self.has_one_seed else "proven"


OURS = Scoring()
