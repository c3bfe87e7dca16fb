"""Shifts every seed that a script sets, so that one script runs with many. Python imports this before the script.

The trial's seed is an offset: `torch.manual_seed(42)` seeds with 42 plus the offset, and so do `random` and NumPy,
their generators too. A script that sets no seed starts from the offset. Equal offsets give equal draws. A seed that is
not a whole number, and None, stay as they are.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

OFFSET = int(os.environ.get("AUTORESEARCH_SEED_OFFSET", "0"))
SEEDS = 1 << 32  # number of seeds that NumPy takes


def shift(seed: Any) -> Any:
    """The seed that is set in the place of this one."""
    whole = hasattr(seed, "__index__") and not isinstance(seed, bool)
    return (seed.__index__() + OFFSET) % SEEDS if whole else seed


class Stand(type):
    """Metaclass of a class that replaces another: instances of the other class count as its own."""

    original: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.original) if "original" in vars(cls) else super().__instancecheck__(instance)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.original) if "original" in vars(cls) else super().__subclasscheck__(other)


def shift_random() -> None:
    """The standard library's."""

    class Random(random.Random, metaclass=Stand):
        original = random.Random

        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(shift(a), version)

    plain = random.seed

    def seed(a: Any = None, version: int = 2) -> None:
        plain(shift(a), version)

    Random.__module__, Random.__qualname__ = "random", "Random"
    random.seed, random.Random = seed, Random  # type: ignore[misc]  # replaces the class
    plain(OFFSET)


def shift_numpy(module: Any) -> None:
    """Those of numpy.random."""
    plain_seed, plain_rng, plain_state = module.seed, module.default_rng, module.RandomState

    class RandomState(plain_state, metaclass=Stand):  # type: ignore[misc, valid-type]  # NumPy's, whatever it is
        original = plain_state

        def __init__(self, seed: Any = None) -> None:
            super().__init__(shift(seed))

        def seed(self, seed: Any = None) -> None:
            super().seed(shift(seed))

    def default_rng(seed: Any = None) -> Any:
        return plain_rng(shift(seed))

    def seed(seed: Any = None) -> None:
        plain_seed(shift(seed))

    RandomState.__module__, RandomState.__qualname__ = "numpy.random", "RandomState"
    module.seed, module.default_rng, module.RandomState = seed, default_rng, RandomState
    plain_seed(OFFSET % SEEDS)


def shift_torch(module: Any) -> None:
    """PyTorch's, on the CPU and on CUDA."""
    plain, of_cuda = module.manual_seed, module.cuda
    cuda_seeds = {name: getattr(of_cuda, name) for name in ("manual_seed", "manual_seed_all")}

    def manual_seed(seed: Any) -> Any:
        with_plain_cuda()  # PyTorch's own calls CUDA's, with a seed that is shifted already
        try:
            return plain(shift(seed))
        finally:
            with_shifted_cuda()

    def with_plain_cuda() -> None:
        for name, seed_cuda in cuda_seeds.items():
            setattr(of_cuda, name, seed_cuda)

    def with_shifted_cuda() -> None:
        for name, seed_cuda in cuda_seeds.items():
            setattr(of_cuda, name, lambda seed, seed_cuda=seed_cuda: seed_cuda(shift(seed)))

    module.manual_seed = module.random.manual_seed = manual_seed
    plain(OFFSET)
    with_shifted_cuda()


class AfterImport(importlib.abc.MetaPathFinder):
    """Lets a module be imported as usual, then changes it."""

    def __init__(self) -> None:
        self._waiting = {"numpy.random": shift_numpy, "torch": shift_torch}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec that others find, with a loader that changes the module at its end."""
        change = self._waiting.pop(name, None)
        spec = importlib.util.find_spec(name) if change is not None else None
        if spec is None or spec.loader is None or change is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # replaces this one loader's method
        return spec


def run_next() -> None:
    """The sitecustomize that Python would have imported if this one were not there: the script's, or the system's."""
    others = [path for path in sys.path if Path(path) != Path(__file__).parent]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


shift_random()
sys.meta_path.insert(0, AfterImport())
run_next()
