"""Rents of flats (made up), learned from known.csv by boosted trees; leaves those of asked.csv in answers.csv."""

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

TREES = 30  # one after another; search log_int(10, 400)
DEPTH = 5  # of a tree; search int(1, 8)
LEARNING_RATE = 0.5  # share of each tree's answer that is added; search log(0.01, 1.0)
SHARE = 0.3  # of the flats that a tree sees; search float(0.1, 1.0)
LEAF = 1  # flats in a leaf, at least; search log_int(1, 50)

known = np.loadtxt("known.csv", delimiter=",", skiprows=1)
asked = np.loadtxt("asked.csv", delimiter=",", skiprows=1)
model = GradientBoostingRegressor(
    n_estimators=TREES, max_depth=DEPTH, learning_rate=LEARNING_RATE, subsample=SHARE, min_samples_leaf=LEAF
)
model.fit(known[:, :-1], known[:, -1])
np.savetxt("answers.csv", model.predict(asked), fmt="%.1f")
