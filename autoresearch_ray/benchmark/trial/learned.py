"""What a candidate's smallest parameters have become: gates and scales say what training made of an idea.

The candidate's own word, like its line profile: it is shown to whoever improves the script, and decides nothing.
"""

import math

import torch

MOST_PARAMETERS, MOST_NUMBERS = 12, 8
NAME = 60  # characters

Learned = tuple[tuple[str, tuple[float, ...]], ...]  # (name, its numbers in order)


def read_small_parameters(model: torch.nn.Module) -> Learned:
    """Those of MOST_NUMBERS numbers or fewer, by name, in the model's order; () where the model does not say."""
    try:
        small = [(name, value) for name, value in model.named_parameters() if 0 < value.numel() <= MOST_NUMBERS]
        return plain_parameters(
            tuple((name, tuple(value.detach().float().flatten().tolist())) for name, value in small[:MOST_PARAMETERS])
        )
    except Exception:  # noqa: BLE001  # a model's own methods may raise anything, and nothing depends on this
        return ()


def plain_parameters(said: Learned) -> Learned:
    """A copy of what a process said, each part of its declared type. Raises ValueError, TypeError or AttributeError."""
    return tuple(
        (
            str(name)[:NAME],
            tuple(float(f"{number:.4g}") if math.isfinite(number) else math.nan for number in numbers[:MOST_NUMBERS]),
        )
        for name, numbers in said[:MOST_PARAMETERS]
    )
