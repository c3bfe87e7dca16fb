"""Fits a noisy wavy surface by gradient steps; prints the root of the mean squared error on points not seen."""

import numpy as np
from model import random_waves

LR = 0.3  # of a step; search log(0.01, 10.0)
DECAY = 0.1  # of the weights, a step; search log(0.00001, 1.0)
BATCH = 32  # points a step; search log_int(8, 256)
POINTS = 400_000  # that all steps together may use

data = np.random.Generator(np.random.PCG64(7))  # the same points whatever the seed
x = data.uniform(-1, 1, (3000, 2))
y = np.sin(5 * x[:, 0]) * np.cos(3 * x[:, 1]) + data.normal(0, 0.1, 3000)

rng = np.random.default_rng(0)
waves = random_waves(rng, 2)
features = waves(x)
weights = np.zeros(features.shape[1])
for _ in range(POINTS // BATCH):
    rows = rng.integers(2000, size=BATCH)
    error = features[rows] @ weights - y[rows]
    step = features[rows].T @ error / BATCH + DECAY * weights
    weights -= LR * step / features.shape[1]
print("rmse:", np.sqrt(np.mean((features[2000:] @ weights - y[2000:]) ** 2)))
