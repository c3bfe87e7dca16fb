"""The tables of allowed modules against what is really in them: nothing leads out, and nothing honest is missing."""

import importlib
import pkgutil
import sys
import types
import warnings
from collections.abc import Iterator

import pytest

from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.candidate.rules.modules import MODULES, SETTING_MODULES, SETTINGS, allowed, importable
from autoresearch_ray.common.errors import CandidateError

IMPORTABLE = sorted(MODULES.keys() - {"torch.ops"})  # it makes its parts up when they are asked for
HONEST = {
    "torch.nn.functional": "cross_entropy relu gelu silu rms_norm linear embedding scaled_dot_product_attention",
    "torch.nn": "Module Parameter Linear Embedding ModuleList Sequential LSTM GRU Conv1d RMSNorm Buffer",
    "torch.optim": "AdamW SGD Adam RMSprop NAdam LBFGS Optimizer Adafactor Muon",
    "torch.optim.adamw": "AdamW",
    "torch.optim.swa_utils": "AveragedModel get_ema_multi_avg_fn SWALR",
    "torch": "compile no_grad autocast einsum randn Generator float8_e4m3fn _foreach_lerp_ _scaled_mm vmap trace",
    "torch.cuda": "synchronize Stream CUDAGraph get_device_capability is_available amp.GradScaler",
    "torch.linalg": "svd qr norm solve matrix_norm",
    "torch.func": "grad vmap functional_call stack_module_state",
    "torch.utils.checkpoint": "checkpoint",
    "torch.nn.attention": "sdpa_kernel SDPBackend flex_attention.flex_attention flex_attention.create_block_mask",
    "torch.nn.utils": "clip_grad_norm_ parametrize.register_parametrization parametrizations.orthogonal",
    "torch.autograd": "Function grad graph.saved_tensors_hooks",
    "numpy": "arange sqrt array random.default_rng linalg.svd float32 pi",
    "math": "sqrt pi cos log inf",
    "functools": "partial lru_cache reduce",
    "gc": "collect disable freeze",
}


def public(thing: object) -> Iterator[tuple[str, object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in dir(thing):
            if not name.startswith("_"):
                yield name, getattr(thing, name, None)


@pytest.mark.parametrize("name", IMPORTABLE)
def test_no_part_of_an_allowed_module_is_another_module(name: str) -> None:
    module = importlib.import_module(name)
    for part, value in public(module):
        if isinstance(value, types.ModuleType) and allowed(f"{name}.{part}"):
            assert f"{name}.{part}" in MODULES.keys() | SETTING_MODULES and sys.modules[f"{name}.{part}"] is value, part
    for part in [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))]:  # loaded or not
        if not callable(vars(module).get(part)) and allowed(f"{name}.{part}"):
            assert importable(f"{name}.{part}"), part


@pytest.mark.parametrize("name", ["torch.autograd.gradcheck", "torch.nn.utils.weight_norm"])
def test_a_function_is_no_way_into_the_module_of_its_name(name: str) -> None:
    holder, _, part = name.rpartition(".")
    assert allowed(name) and not importable(name)
    check_candidate(f"from {holder} import {part}\n\n\ndef train(task):\n    return {part}\n")
    with pytest.raises(CandidateError, match=f"`from {holder} import {part}`"):
        check_candidate(f"from {name} import torch\n\n\ndef train(task):\n    return torch\n")


@pytest.mark.parametrize("name", IMPORTABLE)
def test_no_class_of_an_allowed_module_leads_to_a_module(name: str) -> None:
    for part, value in public(importlib.import_module(name)):
        if isinstance(value, type) and allowed(f"{name}.{part}"):
            assert not [inner for inner, deep in public(value) if isinstance(deep, types.ModuleType)], part


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in HONEST.items() for part in parts.split()])
def test_what_trainers_use_is_there_and_allowed(name: str, part: str) -> None:
    value = importlib.import_module(name)
    for one in part.split("."):
        value = getattr(value, one)
    assert allowed(f"{name}.{part}")


@pytest.mark.parametrize("name", [name for name, module in MODULES.items() if module.only])
def test_parts_that_are_listed_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert not [part for part in MODULES[name].only if not hasattr(module, part)]


@pytest.mark.parametrize(
    "name", ["torch.nn.functional", "torch.nn", "torch.optim", "torch.linalg", "torch.fft", "math"]
)
def test_functions_and_classes_are_allowed_by_and_large(name: str) -> None:
    parts = [part for part, value in public(importlib.import_module(name)) if callable(value)]
    refused = [part for part in parts if not allowed(f"{name}.{part}")]
    assert len(refused) <= 3, refused


def test_of_a_module_that_holds_settings_nothing_else_is_allowed() -> None:
    for holder in SETTING_MODULES - MODULES.keys():
        assert not allowed(f"{holder}.torch") and not allowed(f"{holder}.torch.os.system")


def test_settings_exist() -> None:
    for setting in SETTINGS:
        holder, _, name = setting.rpartition(".")
        value: object = importlib.import_module("torch")
        importlib.import_module("torch._inductor.config"), importlib.import_module("torch._functorch.config")
        for part in holder.split(".")[1:]:
            value = getattr(value, part)
        assert hasattr(value, name), setting
