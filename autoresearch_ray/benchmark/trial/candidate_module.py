"""A candidate's text as a module, and what it made as bytes that another process can bring to life again.

Saved are the model, the values of the module's variables and torch's settings of numbers; classes and functions come
from the text. Loading runs whatever code the bytes hold: for processes behind walls alone.
"""

import linecache
import sys
import types
from typing import Any, BinaryIO

import dill  # type: ignore[import-untyped]  # it ships no types
import torch

FILE = "train.py"  # its name in tracebacks
NAME = "candidate"


def load_module(source: str) -> types.ModuleType:
    """The candidate as a module; its lines show in tracebacks."""
    module = types.ModuleType(NAME)
    module.__file__ = FILE
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    sys.modules[NAME] = module
    exec(compile(source, FILE, "exec"), module.__dict__)
    return module


def save(model: torch.nn.Module, file: BinaryIO) -> None:
    """Write the model and what belongs to it. Raises what the pickler raises if it cannot be written."""
    variables = _variables(sys.modules[NAME])
    state = {"model": model, "variables": variables, "numbers": _number_settings()}
    try:
        torch.save(state, file, pickle_module=dill)
    except Exception:  # noqa: BLE001  # a variable's own method may raise anything
        file.seek(0)
        file.truncate()
        state["variables"] = {name: value for name, value in variables.items() if dill.pickles(value)}
        torch.save(state, file, pickle_module=dill)


def restore_model(source: str, file: BinaryIO, device: torch.device) -> torch.nn.Module:
    """The model that `save` wrote, in this process."""
    module = load_module(source)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=False, pickle_module=dill)
    module.__dict__.update(state["variables"])
    _set_number_settings(state["numbers"])
    model = state["model"]
    assert isinstance(model, torch.nn.Module), type(model)
    return model


def _variables(module: types.ModuleType) -> dict[str, Any]:
    code = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__") and not isinstance(value, code) and type(value).__module__ != "typing"
    }


def _number_settings() -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    return {
        "default_dtype": torch.get_default_dtype(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn": (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
    }


def _set_number_settings(settings: dict[str, Any]) -> None:
    cudnn = torch.backends.cudnn
    torch.set_default_dtype(settings["default_dtype"])
    torch.set_float32_matmul_precision(settings["matmul_precision"])
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = settings["cudnn"]
