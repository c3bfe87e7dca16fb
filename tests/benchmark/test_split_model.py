"""A model taken apart into weights and skeleton computes the same when it is joined again."""

import os
from collections.abc import Iterator

import pytest
import torch
from test_candidate_saving import CPU, SOURCE

from autoresearch_ray.benchmark.trial import candidate_module
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.split_model import join, split

TIED = """
import torch
from torch import nn
COUNT = 0
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 64), nn.Linear(64, 50, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("cache", torch.arange(50.0), persistent=False)
        self.depth = 1
    def get_extra_state(self):
        return {"any": object}
    def set_extra_state(self, state):
        pass
    def forward(self, x):
        return self.head(self.embed(x)) * self.scale + self.cache * COUNT * self.depth
def train(task):
    global COUNT
    COUNT = 3
    model = Tied()
    model.scale.fill_(2.0)
    model.depth = 5
    return model.to(torch.bfloat16)
"""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def split_and_join(source: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor], int, torch.nn.Module]:
    """The model that `train` made, its weights, the bytes of its skeleton, and the model that comes back."""
    job = Job(source, "", 1, 0.0, "cpu", "none", threads=1, memory_mb=0, gpu_fraction=0.0)
    model = candidate_module.load_module(source).train(None)
    saved, weights, skeleton = (os.memfd_create(name) for name in ("saved", "weights", "skeleton"))
    with os.fdopen(os.dup(saved), "wb") as file:
        candidate_module.save(model, file)
    with os.fdopen(os.dup(weights), "rb") as kept:
        split(job, saved, os.dup(weights), os.dup(skeleton))
        size = os.fstat(skeleton).st_size
        kept.seek(0)
        tensors = torch.load(kept, weights_only=True)
    return model, tensors, size, join(job, skeleton, weights, CPU)


def test_hooks_lambdas_and_variables_of_the_module_come_along() -> None:
    _, weights, _, again = split_and_join(SOURCE)
    assert {name: value.tolist() for name, value in weights.items()} == {"weight": [1, 1, 1]}
    assert again(torch.arange(3.0)).tolist() == [6, 26, 46]


def test_tied_weights_caches_flags_and_number_formats_come_along() -> None:
    model, weights, size, again = split_and_join(TIED)
    assert set(weights) == {"embed.weight", "head.weight", "scale"} and weights["scale"] == 2
    assert weights["head.weight"].dtype == torch.bfloat16 and size < 2 * 50 * 64, "weights are not in the skeleton"
    x = torch.arange(50)
    assert torch.equal(again(x), model(x))
    own = dict(again.named_parameters(remove_duplicate=False))
    assert own["head.weight"] is own["embed.weight"]
