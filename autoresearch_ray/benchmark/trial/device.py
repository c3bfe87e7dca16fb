"""Which device and which number format a trial uses, and what the device says of itself."""

import resource
import sys
from typing import Literal

import torch

from autoresearch_ray.benchmark.trial.cpu import cpu_name
from autoresearch_ray.common.errors import SettingsError

BF16_CAPABILITY = (8, 0)  # Ampere; `torch.cuda.is_bf16_supported` says True on a T4 (7.5), which only emulates it


def choose_device(wish: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of the wish; `auto` is CUDA where there is one. SettingsError if CUDA is asked for and not there."""
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise SettingsError("device: cuda was asked for, torch sees no CUDA device; expected one, or use device: auto")
    return torch.device("cuda" if available and wish != "cpu" else "cpu")


def choose_amp(wish: Literal["auto", "none", "fp16", "bf16"], device: torch.device) -> torch.dtype | None:
    """The autocast format: `auto` is bf16 from compute capability 8.0 on, fp16 on older CUDA, None on the CPU."""
    modern = device.type == "cuda" and torch.cuda.get_device_capability(device) >= BF16_CAPABILITY
    if wish == "bf16" and device.type == "cuda" and not modern:
        raise SettingsError(f"amp: bf16 was asked for, {device_name(device)} has no bf16 units; use amp: fp16 or auto")
    if wish == "auto":
        return None if device.type == "cpu" else torch.bfloat16 if modern else torch.float16
    return {"none": None, "fp16": torch.float16, "bf16": torch.bfloat16}[wish]


def device_name(device: torch.device) -> str:
    """The device's product name, for example `Tesla T4`."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else cpu_name()


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far, in MiB: allocated on the GPU, or resident for the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def use_threads(cpus: float) -> int:
    """Gives torch the whole CPUs of a slot, at least one; returns how many. Call before any work."""
    threads = max(1, int(cpus))
    torch.set_num_threads(threads)
    return threads
