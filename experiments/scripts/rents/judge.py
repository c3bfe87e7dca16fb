"""How far the answers are from the right rents, in the mean."""

import numpy as np

answers, right = (np.loadtxt(name) for name in ("answers.csv", "right.csv"))
assert answers.shape == right.shape, f"{answers.shape} answers, expected {right.shape}"
print("mean_error:", np.abs(answers - right).mean())
