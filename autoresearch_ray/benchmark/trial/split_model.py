"""A trained model as two files: its weights, which anybody may read, and the rest, for processes behind walls alone.

    model.pt      a dict of name -> tensor, as of `state_dict`: `torch.load(weights_only=True)` reads it
    skeleton.pt   the model as `candidate_module.save` writes it, with those tensors empty

Weights alone do not bring a model back: a candidate builds it as it likes, keeps caches and flags beside its
parameters, and counts in variables of its module. The skeleton holds all of that. It is a pickle of foreign code, so
it is made and read behind the walls, where `model_process.py` runs.
"""

import os
import socket

import torch

from autoresearch_ray.benchmark.trial import candidate_module, model_process
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.shared_logits import Exchange

CPU = torch.device("cpu")


def split(job: Job, saved: int, weights: int, skeleton: int) -> None:
    """Write both files from the descriptor `saved`. For a process behind walls; raises what the candidate does."""
    torch.set_num_threads(job.threads)
    with os.fdopen(saved, "rb") as file:
        model = candidate_module.restore_model(job.source, file, CPU)
    tensors = _tensors(model)
    copies = {id(tensor): tensor.detach().clone() for tensor in tensors.values()}  # tied ones once, no storage shared
    with os.fdopen(weights, "w+b") as file:
        torch.save({name: copies[id(tensor)] for name, tensor in tensors.items()}, file)
        file.seek(0)
        torch.load(file, weights_only=True)  # raises for a model that needs a pickle of code
    for tensor in tensors.values():
        tensor.data = torch.empty(0, dtype=tensor.dtype)
    with os.fdopen(skeleton, "wb") as file:
        candidate_module.save(model, file)


def join(job: Job, skeleton: int, weights: int, device: torch.device) -> torch.nn.Module:
    """The model that `split` took apart, on this device."""
    with os.fdopen(weights, "rb") as file:
        file.seek(0)
        known: dict[str, torch.Tensor] = torch.load(file, map_location=device, weights_only=True)
    with os.fdopen(skeleton, "rb") as file:
        model = candidate_module.restore_model(job.source, file, device)
    tensors = _tensors(model)
    if tensors.keys() != known.keys():
        differing = ", ".join(sorted(tensors.keys() ^ known.keys())[:3])
        raise ValueError(f"the weights are not those of this model: {differing} is in one of the two alone")
    for name, tensor in tensors.items():
        tensor.data = known[name]
    return model


def run_joined(job: Job, skeleton: int, weights: int, channel: socket.socket, shared: Exchange) -> None:
    """Bring the model back and answer for it until the channel is closed, as `model_process.run_model` does."""
    model_process.answer_for(job, lambda device: join(job, skeleton, weights, device), channel, shared)


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's own tensors by name: what else its `state_dict` may give stays in the skeleton."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
