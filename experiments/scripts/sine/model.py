"""Waves of random frequency and phase, whose weighted sum is the model's answer."""

import numpy as np

WAVES = 30  # features; search log_int(10, 300)
FREQUENCY = 1.0  # sd of the waves' frequencies; search log(0.1, 30.0)


def random_waves(rng, inputs):
    """A function from (rows, inputs) to (rows, WAVES)."""
    frequencies = rng.normal(0, FREQUENCY, (inputs, WAVES))
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    return lambda x: np.cos(x @ frequencies + phases)
