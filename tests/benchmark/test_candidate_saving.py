"""What a candidate made comes to life in another process as it was; here the other process is a second load."""

import io

import pytest
import torch

from autoresearch_ray.benchmark.trial import candidate_module

CPU = torch.device("cpu")
SOURCE = """
import torch
from torch import nn
SCALE = 1.0
TABLE = None
class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.act = lambda x: x * 2
        self.register_forward_hook(lambda module, inputs, out: out + 1)
    def forward(self, x):
        return self.act(self.weight * x) * SCALE + TABLE
def train(task):
    global SCALE, TABLE
    SCALE = 10.0
    model = Mine()
    TABLE = model.weight.detach() + 4
    return model
"""


def brought_back(source: str, model: torch.nn.Module) -> torch.nn.Module:
    file = io.BytesIO()
    candidate_module.save(model, file)
    return candidate_module.restore_model(source, file, CPU)


def test_a_model_computes_the_same_with_lambdas_hooks_and_variables() -> None:
    model = candidate_module.load_module(SOURCE).train(None)
    before = model(torch.arange(3.0))
    again = brought_back(SOURCE, model)
    assert again is not model
    assert torch.equal(again(torch.arange(3.0)), before) and before.tolist() == [6, 26, 46]


def test_a_variable_that_cannot_be_saved_does_not_stand_in_the_way() -> None:
    model = candidate_module.load_module(
        SOURCE + "import threading\nLOCK = threading.Lock()\nLINES = (n for n in [1])\n"
    ).train(None)
    assert brought_back(SOURCE, model)(torch.ones(3)).tolist() == [26, 26, 26]


def test_a_model_that_cannot_be_saved_says_so() -> None:
    model = candidate_module.load_module(SOURCE).train(None)
    model.lines = (n for n in [1])
    with pytest.raises(TypeError, match="generator"):
        candidate_module.save(model, io.BytesIO())


def test_the_settings_of_numbers_go_along() -> None:
    model = candidate_module.load_module(SOURCE).train(None)
    file = io.BytesIO()
    before = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        candidate_module.save(model, file)
        torch.set_float32_matmul_precision("highest")
        torch.set_default_dtype(torch.float32)
        candidate_module.restore_model(SOURCE, file, CPU)
        assert (torch.get_float32_matmul_precision(), torch.get_default_dtype()) == ("medium", torch.float64)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.set_default_dtype(before[1])
