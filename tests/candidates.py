"""A small candidate in the shape of experiments/train.py."""

TRAIN = '''"""A candidate."""

import torch

# Knobs end in a range, such as `search log(0.005, 0.2)`.
MATRIX_LR = 0.04      # Muon learning rate; search log(0.005, 0.2)
BATCH_ROWS = 8        # rows a step; search log_int(4, 64)
DEPTH = 4             # blocks; search int(2, 8)
WARMDOWN = 0.3        # share of the clock; search float(0.0, 0.9)
ACTIVATION = "relu2"  # non-linearity; search choice("relu2", "gelu", "swiglu")
TIED = False          # search choice(True, False)
EPS = 1e-8            # of Adam
BETAS = (0.9, 0.95)   # of Adam


class Block(torch.nn.Module):
    """One block."""

    scale: float = 1.0

    def forward(self, x):
        """(B, T, C) -> (B, T, C)"""
        total = x
        for part in range(3):
            total = total + part * x  # residual
        return [total for total in (total,)][0]


def train(task):
    """Train and return the model."""
    model = Block()
    for batch in task.batches(BATCH_ROWS):
        loss = model(batch).mean() * MATRIX_LR
        loss.backward()
    return model
'''
