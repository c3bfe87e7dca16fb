"""A small convolutional network tells noisy drawings apart: bars that lie, that stand, crosses and squares."""

import torch
from torch import nn
from torch.nn import functional as F

CHANNELS = 4  # of the first convolution; search log_int(2, 16)
LR = 0.001  # of Adam; search log(0.0001, 0.1)
BATCH = 64  # drawings a step; search log_int(8, 128)
DROPOUT = 0.5  # before the last layer; search float(0.0, 0.7)
POOL = "avg"  # what the layers are brought together by; search choice("avg", "max")
DRAWINGS = 1000  # that it may see


SHAPES = torch.zeros(4, 6, 6)
SHAPES[0, 2], SHAPES[1, :, 2] = 1.0, 1.0
SHAPES[2] = SHAPES[0].maximum(SHAPES[1])
SHAPES[3, [0, 5]] = SHAPES[3, :, [0, 5]] = 1.0


def draw(count, generator):
    """Drawings of 12 x 12 pixels, as (count, 1, 12, 12), and which of the shapes they show."""
    kinds = torch.randint(4, (count,), generator=generator)
    corners = torch.randint(6, (count, 2), generator=generator).tolist()
    images = torch.randn(count, 1, 12, 12, generator=generator) * 0.7
    for image, kind, (y, x) in zip(images, kinds.tolist(), corners, strict=True):
        image[0, y : y + 6, x : x + 6] += SHAPES[kind]
    return images, kinds


torch.manual_seed(42)
images, kinds = draw(DRAWINGS, torch.Generator().manual_seed(1))
unseen, answers = draw(1000, torch.Generator().manual_seed(2))
pool = nn.AvgPool2d(2) if POOL == "avg" else nn.MaxPool2d(2)
model = nn.Sequential(
    nn.Conv2d(1, CHANNELS, 3, padding=1), nn.ReLU(), pool, nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1), nn.ReLU(),
    pool, nn.Flatten(), nn.Dropout(DROPOUT), nn.LazyLinear(4),
)  # fmt: skip
model(images[:1])
optimizer = torch.optim.Adam(model.parameters(), lr=LR)
for rows in torch.randperm(DRAWINGS * 5).remainder(DRAWINGS).split(BATCH):
    optimizer.zero_grad()
    F.cross_entropy(model(images[rows]), kinds[rows]).backward()
    optimizer.step()
model.eval()
print("error:", 100 * (model(unseen).argmax(1) != answers).float().mean().item())
