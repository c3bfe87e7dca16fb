"""How those who propose do: the state of each, the ideas of theirs that took no slot, and what their calls cost."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Refusal = Literal["edit", "rule", "duplicate", "alike", "dry_run", "answer", "moved"]  # moved: it fits no more

MICROS = 1_000_000  # to the dollar


@dataclass(frozen=True, slots=True)
class ProposerStatus:
    """How a language model does as a proposer, in this launch."""

    name: str
    state: Literal["ok", "pausing", "stopped"]
    detail: str = ""  # why it is not ok, or a remark for a person
    conversations: int = 0
    ideas: int = 0
    rejected: int = 0
    tokens: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class RejectedIdea:
    """An idea of a language model that took no slot."""

    name: str  # of its conversation, and its number there: anthropic-00012-2
    proposer: str
    refusal: Refusal
    hypothesis: str
    detail: str  # why, as the model was told, bounded: foreign text
    at: float


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call of a model costs; `open` until it is known, `lost` when it will never be."""

    who: str  # PROVIDER:MODEL
    state: Literal["open", "settled", "lost"]
    priced: bool  # False: no price is known, so that it costs 0 here
    reserved_micros: int  # millionths of a dollar
    micros: int  # what counts; the reservation while open or lost
    at: float
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0


def dollars(micros: int) -> str:
    """The amount as people write it, to the cent, or to all six places where it is less."""
    exact = Decimal(micros) / MICROS
    return f"${exact:.2f}" if micros % 10_000 == 0 or micros >= MICROS else f"${exact:.4f}"
