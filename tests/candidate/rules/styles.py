"""Honest candidates in other styles than the shipped one's: modules in modules, a recurrent net, counts of pairs."""

BLOCKS = '''"""Blocks of nn.Linear, a config dataclass, one optimiser that holds two rules, compiled steps."""

import gc
import math
import typing
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR

DEPTH = 2  # search int(1, 4)
NEGATIVE = float("-inf")
WINDOWS = ("S", "L")
BETAS: tuple[float, float] = (0.9, 0.95)
HALF = math.sqrt(0.25)


@dataclass
class Config:
    vocab_size: int
    seq_len: int
    depth: int = DEPTH
    heads: int = 2
    width: int = 32
    windows: list[str] = field(default_factory=lambda: list(WINDOWS))
    tie: bool = False

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


class Rotary(nn.Module):
    def __init__(self, dim: int, length: int, base: float = 1e4):
        super().__init__()
        angles = torch.outer(torch.arange(length).float(), base ** -(torch.arange(0, dim, 2) / dim))
        self.register_buffer("cos", angles.cos()[None, :, None], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None], persistent=False)

    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        cos, sin = self.cos[:, : x.size(1)], self.sin[:, : x.size(1)]
        return torch.cat((a * cos + b * sin, b * cos - a * sin), -1)


class Attention(nn.Module):
    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.config, self.layer = config, layer
        for name in ("q", "k", "v", "out"):
            setattr(self, f"c_{name}", nn.Linear(config.width, config.width, bias=False))
        self._rotary = Rotary(config.head_dim, config.seq_len)

    def forward(self, x, mask):
        rows, length, width = x.shape
        split = lambda t: t.view(rows, length, self.config.heads, self.config.head_dim)
        q, k, v = (split(getattr(self, f"c_{name}")(x)) for name in ("q", "k", "v"))
        q, k = (F.rms_norm(self._rotary(t), (t.size(-1),)) for t in (q, k))
        y = F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v)), attn_mask=mask)
        return self.c_out(y.transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    expansion: typing.ClassVar[int] = 4

    def __init__(self, config, layer):
        super().__init__()
        self.attention = Attention(config, layer)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, self.expansion * config.width), nn.GELU(), nn.Linear(4 * config.width, config.width)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(config.width) for _ in range(2)])

    def forward(self, x, mask):
        x = x + self.attention(self.norms[0](x), mask)
        return x + self.mlp(self.norms[1](x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.vocab_size, config.width),
                "h": nn.ModuleList([Block(config, i) for i in range(config.depth)]),
            }
        )
        self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tie:
            self.lm_head.weight = self.transformer.wte.weight
        self.masks = {}
        self.apply(self._init_weights)

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @staticmethod
    def window_mask(length, window, device):
        back = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
        return (back >= 0) & (back < window)

    def mask(self, length, kind, device):
        key = (length, kind)
        if key not in self.masks:
            self.masks[key] = self.window_mask(length, length if kind == "L" else max(1, length // 4), device)
        return self.masks[key]

    def forward(self, idx, targets=None):
        x = self.transformer.wte(idx)
        for i, block in enumerate(self.transformer.h):
            kind = self.config.windows[i % len(self.config.windows)]
            x = block(x, self.mask(idx.size(1), kind, idx.device))
        logits = self.lm_head(F.layer_norm(x, (x.size(-1),))).float()
        if targets is None:
            return logits
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))

    def __repr__(self):
        return f"{type(self).__name__} with {sum(p.numel() for p in self.parameters()):,} parameters"


@torch.compile(dynamic=False, fullgraph=True)
def adam_step(p, grad, first, second, lr, step):
    first.lerp_(grad, 1 - BETAS[0])
    second.lerp_(grad.square(), 1 - BETAS[1])
    p.sub_(lr * (first / (1 - BETAS[0] ** step)) / ((second / (1 - BETAS[1] ** step)).sqrt() + 1e-8))


class Mixed(torch.optim.Optimizer):
    def __init__(self, groups):
        super().__init__(groups, defaults=dict(lr=1e-3))
        self._count = 0

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("_count", 0)

    def _adam(self, group):
        for p in group["params"]:
            state = self.state[p]
            if len(state) == 0:
                state["first"], state["second"] = torch.zeros_like(p), torch.zeros_like(p)
            adam_step(p.data, p.grad, state["first"], state["second"], group["lr"], self._count)

    def _sign(self, group):
        for p in group["params"]:
            p.data.add_(p.grad.sign(), alpha=-0.1 * group["lr"])

    @torch.no_grad()
    def step(self, closure=None):
        self._count += 1
        for group in self.param_groups:
            {"adam": self._adam, "sign": self._sign}[group["kind"]](group)


class Average:
    """Weights averaged over the last part of the run."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters()}

    def __call__(self, model):
        for name, p in model.named_parameters():
            self.shadow[name].mul_(self.decay).add_(p.detach(), alpha=1 - self.decay)

    def store(self, model):
        for name, p in model.named_parameters():
            p.data.copy_(self.shadow[name])


def pairs(task, rows: int) -> Iterator:
    yield from task.batches(rows)


def train(task):
    torch.manual_seed(task.seed)
    if task.device.type == "cuda":
        torch.cuda.manual_seed(task.seed)
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    config = Config(vocab_size=task.vocab_size, seq_len=task.seq_len)
    print(asdict(config))
    with torch.device(task.device):
        model = GPT(config)
    head = [p for n, p in model.named_parameters() if "lm_head" in n or "wte" in n]
    rest = [p for p in model.parameters() if all(p is not other for other in head)]
    optimizer = Mixed([dict(kind="adam", params=rest, lr=3e-3), {"kind": "sign", "params": head, "lr": 1e-3}])
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    schedule.base_lrs = [group["lr"] for group in optimizer.param_groups]
    average = Average(model, decay=0.9)
    precision = torch.autocast(task.device.type, task.amp_dtype) if task.amp_dtype else nullcontext()
    compiled = torch.compile(model, mode="default")
    forward = partial(compiled, targets=None) if False else compiled
    gc.collect()
    gc.freeze()
    best, smooth = math.inf, 0.0
    for step, (x, y) in enumerate(pairs(task, 4)):
        with precision:
            loss = forward(x, y)
        if not math.isfinite(loss.item()):
            raise RuntimeError(f"loss {loss.item()} after {step} steps")
        smooth = 0.9 * smooth + 0.1 * loss.item()
        best = min(best, smooth)
        loss.backward()
        for p in model.parameters():
            if p.grad is not None:
                torch._foreach_mul_([p.grad], 1.0)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group, base in zip(optimizer.param_groups, schedule.base_lrs):
            group["lr"] = base * max(0.1, 1 - task.clock.progress)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average(model)
        task.report(loss)
    average.store(model)
    model.masks = {}
    return getattr(compiled, "_orig_mod", model)
'''

RECURRENT = '''"""A gated recurrent net with a convolution, trained by Adam without any other help."""

import torch
from torch import nn

WIDTH = 32


class Net(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, WIDTH)
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, vocab_size)

    def forward(self, input):
        x = self.embed(input)
        x = x + torch.tanh(self.conv(nn.functional.pad(x.transpose(1, 2), (2, 0)))).transpose(1, 2)
        x, _ = self.lstm(x)
        return self.head(x)


def train(task):
    rng = torch.Generator().manual_seed(task.seed)
    torch.manual_seed(int(torch.randint(1 << 30, (), generator=rng)))
    net = Net(task.vocab_size).to(task.device)
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    loss_function = nn.CrossEntropyLoss()
    batches = task.batches(8)
    while True:
        try:
            x, y = next(batches)
        except StopIteration:
            break
        adam.param_groups[0]["lr"] = 0.01 * (1 - task.clock.progress) + 1e-4
        adam.zero_grad()
        loss = loss_function(net(x).flatten(0, 1), y.flatten())
        loss.backward()
        adam.step()
    return net.eval()
'''

SHORTEST = """import torch

def train(task):
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size, device=task.device)
    model.weight.data.zero_()
    for x, y in task.batches(16):
        model.weight.data.index_put_((x.flatten(), y.flatten()), torch.tensor(1.0), accumulate=True)
    model.weight.data.log1p_()
    return model
"""

STYLES = {"blocks of modules": BLOCKS, "a recurrent net": RECURRENT, "counting": SHORTEST}
