"""The process that runs a candidate's model while it is scored: behind the walls, and what it says is not believed.

It is fresh: the candidate's text is executed again and the model comes out of what the training process saved, so
that no thread, hook or patch of training is left. Where the model cannot be saved, the training process serves.
"""

import os
import socket
import traceback
from collections.abc import Callable

import numpy as np
import torch

from autoresearch_ray.benchmark.score import metric
from autoresearch_ray.benchmark.trial import candidate_module, shared_logits
from autoresearch_ray.benchmark.trial import device as devices
from autoresearch_ray.benchmark.trial.drytask import prepare_dry_run
from autoresearch_ray.benchmark.trial.failures import describe, keep_spare_memory
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.shared_logits import Exchange

CONTEXT_BYTES = 600 << 20  # GPU memory of a process besides its tensors: context, kernels, cuBLAS


def run_model(job: Job, saved: int, channel: socket.socket, shared: Exchange) -> None:
    """Load the model from the descriptor `saved` when asked to, and answer until the channel is closed."""

    def load(device: torch.device) -> torch.nn.Module:
        with os.fdopen(saved, "rb") as file:
            return candidate_module.restore_model(job.source, file, device)

    answer_for(job, load, channel, shared)


def answer_for(
    job: Job, load: Callable[[torch.device], torch.nn.Module], channel: socket.socket, shared: Exchange
) -> None:
    """`run_model` with a model that `load` restores."""
    try:
        shared_logits.hear(channel)  # no memory or GPU is taken before
        keep_spare_memory()
        device = prepare_device(job)
        model = load(device)
    except EOFError:
        return
    except BaseException as error:  # noqa: BLE001  # the candidate's code: its crash is a result
        _fail(channel, error)
        return
    shared_logits.tell(channel, facts(model, device))
    serve(job, model, channel, shared)


def prepare_device(job: Job) -> torch.device:
    """This process's device, with threads, memory share and seed set for the job."""
    if job.dry:
        prepare_dry_run(job.dry_seconds)
    device = devices.choose_device(job.device)
    torch.set_num_threads(job.threads)
    if device.type == "cuda" and 0 < job.gpu_fraction < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_share(job.gpu_fraction, total))
    torch.manual_seed(job.seed)
    return device


def memory_share(gpu_fraction: float, total_bytes: int) -> float:
    """The part of a GPU's memory for a trial's tensors; the rest of its share is for its CUDA context."""
    return max(gpu_fraction / 2, gpu_fraction - CONTEXT_BYTES / total_bytes)


def facts(model: torch.nn.Module, device: torch.device) -> dict[str, object]:
    """Facts about a model; for the table, not for any decision."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "device_name": devices.device_name(device)}


def serve(job: Job, model: torch.nn.Module, channel: socket.socket, shared: Exchange) -> None:
    """Answer the judge's questions until the channel is closed."""
    device = devices.choose_device(job.device)
    amp_dtype = devices.choose_amp(job.amp, device)
    before = _fingerprint(model)
    if device.type == "cpu":  # products of bf16, which a candidate may choose to train with, turn the least difference
        torch.set_float32_matmul_precision("highest")  # into one of their rounding, which a probe takes for a leak
    logits = torch.empty(0)
    try:
        with metric.evaluating(model):
            while True:
                message = shared_logits.hear(channel)
                if "ask" in message:
                    tokens = shared.tokens[: message["ask"]].copy()
                    logits = metric.forward(model, tokens, shared.layout.vocab_size, device, amp_dtype)
                    _put(logits, tokens, shared)
                elif "show" in message:
                    _show(logits, shared)
                elif _fingerprint(model) != before:
                    raise metric.InvalidModelError("the model's weights changed while it was scored")
                shared_logits.tell(channel, {})
    except EOFError:
        return
    except BaseException as error:  # noqa: BLE001  # the candidate's code: its crash is a result
        _fail(channel, error)


def _put(logits: torch.Tensor, tokens: np.ndarray, shared: Exchange) -> None:
    """All of the logits, or what they say of each row's own next tokens; of the last nothing, it is not known here."""
    if shared.layout.whole:
        torch.from_numpy(shared.logits).copy_(logits)
    else:
        answer = metric.log_probabilities(logits, np.roll(tokens, -1, axis=1))
        shared.own[: len(tokens)] = answer.numpy().astype(np.float32)


def _show(logits: torch.Tensor, shared: Exchange) -> None:
    """The logits at the positions that are asked for now."""
    positions = torch.from_numpy(shared.positions.astype(np.int64)).to(logits.device)
    chosen = logits.take_along_dim(positions[: len(logits), :, None], dim=1)
    shared.logits[: len(logits)] = chosen.float().cpu().numpy()


def _fingerprint(model: torch.nn.Module) -> list[str]:
    """A sum over each parameter, nan or not; buffers may be caches."""
    return [float(parameter.detach().double().sum()).hex() for parameter in model.parameters()]


def _fail(channel: socket.socket, error: BaseException) -> None:
    failure = describe(error)
    traceback.print_exc()
    shared_logits.tell(channel, {"failure": failure})
