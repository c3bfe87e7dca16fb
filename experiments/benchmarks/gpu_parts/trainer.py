"""The trainer in bf16 and fp16: speed, share of the matmul peak, memory, start-up, compilation, and a step's profile.

Upstream's model (`upstream_train.py`) takes turns with the shipped one, on the same seeds.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from autoresearch_ray.benchmark.trial import candidate_module
from autoresearch_ray.benchmark.trial import device as devices
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.benchmark.trial.task import Task
from gpu_parts import trials
from gpu_parts.notes import Bench

SEEDS = (1, 2)
FIRST_STEP, STEPS = 10, 10  # of a profile
PROFILE_SECONDS = 30.0  # at most
TOP_KERNELS = 12
MATMUL, MATMUL_REPEATS = 8192, 20  # n of an n x n x n product
SYNCS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::item")


def measure(bench: Bench) -> None:
    """First the newer GPUs' format, then the T4's."""
    for name in ("h100", "t4"):
        with bench.attempt(f"the trainer on {name}.yaml"):
            _measure(bench, name)


def _measure(bench: Bench, name: str) -> None:
    setting = trials.setting(bench, name)
    device = devices.choose_device(bench.device)  # type: ignore[arg-type]  # cpu or cuda
    amp = devices.choose_amp(setting.experiment.amp, device)
    assert amp is not None
    peak = matmul_peak(amp, device, 256 if bench.pretend else MATMUL)
    context = context_mb() if device.type == "cuda" else 0.0
    bench.row("peak", amp=str(amp), matmul_tflops=peak / 1e12, context_mb=context, device=devices.device_name(device))
    texts = {"ours": setting.source(), "upstream": setting.source(trials.UPSTREAM)}
    flops = {}
    for who, text in texts.items():
        with bench.attempt(f"operations of {who}"):
            flops[who] = flops_a_token(text, setting, device, amp)
    with Slot(max(1, int(setting.experiment.cpus_per_trial)), gpu=not bench.pretend) as slot:
        runs = [("ours", 0), *((who, seed) for seed in SEEDS for who in texts)]
        for who, seed in runs:
            with bench.attempt(f"{who}, seed {seed}"):
                result, output = trials.run(slot, setting.job(texts[who], seed))
                share = result.tokens_per_second * flops.get(who, math.nan) / peak
                extra = {"output": output[-1500:]} if result.status != "ok" else {}
                start = "cold" if slot.cold else "warm"
                bench.row(name, who=who, seed=seed, start=start, **trials.facts(result), matmul_share=share, **extra)
        if bench.enough_time(f"compilation on {name}.yaml", 60):
            for who in texts:
                with bench.attempt(f"{who}, compiled"):
                    _compiled(bench, setting, slot, who, name, flops.get(who, math.nan) / peak)
    for who, text in texts.items():
        if bench.enough_time(f"a profile of {who} on {name}.yaml", 10):
            with bench.attempt(f"a profile of {who}"):
                _profile(bench, setting, text, f"{who} {name}", device, amp)


def _compiled(bench: Bench, setting: trials.Setting, slot: Slot, who: str, name: str, scale: float) -> None:
    """With torch.compile in warm-up: how long that takes, and what it brings; none of it may be on the clock."""
    source = setting.source(trials.UPSTREAM if who == "upstream" else None, COMPILE_BUDGET=0)
    result, output = trials.run(slot, setting.job(source, SEEDS[0], patient=True))
    row = trials.facts(result) | {"training s": result.training_seconds, "budget s": setting.experiment.budget_seconds}
    row["matmul_share"] = result.tokens_per_second * scale
    bench.row(f"{name} compiled", who=who, **row, **({"output": output[-3000:]} if result.status != "ok" else {}))


def matmul_peak(dtype: torch.dtype, device: torch.device, size: int) -> float:
    """Operations a second of a large product of random matrices, the best of several."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = math.inf
    for _ in range(MATMUL_REPEATS if device.type == "cuda" else 3):
        begin = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def context_mb() -> float:
    """GPU memory that is in use beside this process's tensors: its context, if no other process is there."""
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / 2**20


def flops_a_token(source: str, setting: trials.Setting, device: torch.device, amp: torch.dtype) -> float:
    """Operations of matrix products and attention, forward and backward, for one token of training."""
    module = candidate_module.load_module(source)
    model = module.GPT(setting.dataset.vocab_size, setting.dataset.seq_len, 0).to(device)
    tokens = torch.zeros((2, setting.dataset.seq_len), dtype=torch.int64, device=device)
    with FlopCounterMode(display=False) as counter:
        with torch.autocast(device.type, dtype=amp):
            logits = model(tokens)
        logits.float().logsumexp(-1).sum().backward()
    return float(counter.get_total_flops()) / tokens.numel()


def _profile(
    bench: Bench, setting: trials.Setting, source: str, who: str, device: torch.device, amp: torch.dtype
) -> None:
    """The kernels that take most of ten steps, how busy the GPU is meanwhile, and how often the host waits for it."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    profiler = profile(activities=activities)
    task = Task(setting.dataset, device, amp, 0, PROFILE_SECONDS)
    seconds = 0.0

    def batches(rows: int) -> Iterator[Any]:
        nonlocal seconds
        begin = 0.0
        for number, batch in enumerate(Task.batches(task, rows)):
            if number == FIRST_STEP:
                _wait(device)
                profiler.start()
                begin = time.perf_counter()
            if number == FIRST_STEP + STEPS:
                _wait(device)
                seconds = time.perf_counter() - begin
                profiler.stop()
                return
            yield batch

    task.batches = batches  # type: ignore[method-assign, assignment]  # of this object alone
    candidate_module.load_module(source).train(task)
    assert seconds, f"fewer than {FIRST_STEP + STEPS} steps within {PROFILE_SECONDS} s"
    kernels: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    wanted = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    for event in profiler.events() or []:  # type: ignore[no-untyped-call]  # torch leaves it untyped
        calls[event.name] += 1
        if event.device_type == wanted:
            kernels[event.name] += event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
    busy = sum(kernels.values()) / 1e6
    waits = {name: calls[name] / STEPS for name in SYNCS}
    bench.row(
        "profile", who=who, ms_a_step=1e3 * seconds / STEPS, device_busy=busy / seconds,
        kernels_a_step=sum(calls[name] for name in kernels) / STEPS, waits_a_step=waits,
    )  # fmt: skip
    for name, microseconds in kernels.most_common(TOP_KERNELS):
        share = microseconds / 1e6 / seconds
        bench.row("kernels", who=who, kernel=name[:120], share=share, calls_a_step=calls[name] / STEPS)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
