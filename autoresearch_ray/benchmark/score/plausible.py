"""Is a result too good to be true? Then it is `invalid`, held for a human to see, and decides nothing.

Where honest candidates lie, so that none of them is held:

    bits    A model trained for minutes needs 0.4 to 0.9 of the bits that zlib needs for the same text; the largest
            models there are need 0.2. Below 0.1 nothing is believed; below 0.25 nothing that halves the best so far at
            one blow. What repairs a bad start may gain any factor: it ends where good models are.
    speed   `batches` hands out 10^5 batches or 6 * 10^8 tokens a second at most, on a fast core: 20 times as many were
            not handed out. A table of n-grams may well learn from a hundred times the tokens that a transformer does,
            and be better; what takes in a thousand times as many as its slot's others and beats them all is held.

Who finds a held candidate honest starts a run from it: before the first result there is nothing to compare with.
"""

from dataclasses import dataclass

from autoresearch_ray.records.trials import HELD

LEAST = 0.1  # share of zlib's bits
LEAST_AT_ONCE, HALF = 0.25, 0.5  # share of zlib's bits; share of the best's bits
FASTEST_STEP, FASTEST_TOKEN = 5e-7, 1e-10  # seconds
FASTER = 1000  # than what is typical


@dataclass(frozen=True, slots=True)
class Reference:
    """Measured values to compare with; 0 where nothing is known."""

    bpb: float = 0.0  # the lower one of best and frontier
    tokens_per_second: float = 0.0  # typical of the slot


NOTHING = Reference()


def least_bpb(zlib_bpb: float, reference: Reference) -> float:
    """Bits per byte below which a score is not believed; `zlib_bpb` is what zlib needs for the same tokens."""
    return max(LEAST * zlib_bpb, min(LEAST_AT_ONCE * zlib_bpb, HALF * reference.bpb))


def too_good(name: str, bpb: float, least: float) -> str:
    """Why a score is not believed; empty if it is."""
    if bpb >= least:
        return ""
    return f"{name}: {bpb:.4f} bits per byte, below {least:.4f}, which is too good to be true; {HELD}"


def too_many(steps: int, tokens: int, seconds: float) -> str:
    """Why so many steps and tokens were not handed out in this time; empty if they may have been."""
    if steps * FASTEST_STEP + tokens * FASTEST_TOKEN <= seconds:
        return ""
    return f"says that it took {steps} steps of {tokens} tokens in all in {seconds:.2f} s, which no process can; {HELD}"


def too_fast(tokens_per_second: float, bpb: float, reference: Reference) -> str:
    """Why a result that would count is not believed for its speed; empty if it is."""
    times = tokens_per_second / reference.tokens_per_second if reference.tokens_per_second > 0 else 0.0
    if times <= FASTER or bpb >= reference.bpb:
        return ""
    return (
        f"{tokens_per_second:.3g} tokens a second, {times:.0f} times what is typical here, and the best score; {HELD}"
    )
