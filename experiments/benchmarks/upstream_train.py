"""Upstream's model and optimiser, written anew for this project's contract: what the shipped train.py is compared with.

After karpathy/autoresearch: one matrix a projection, relu^2, value embeddings in every second block with a gate of 32
channels, residual and skip scalars, logits capped by tanh, Muon for the matrices of one shape together, AdamW for the
rest, learning rates as there. Left out: sliding windows (full attention everywhere, as on a T4) and the compilation of
the optimiser's step. The constants that sizes follow from have the names that they have in train.py.
"""

import math
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTH = 4  # transformer blocks
WIDTH = 256  # residual stream
HEADS = 2  # attention heads
BATCH_ROWS = 64  # rows of seq_len tokens per optimiser step
MICRO_ROWS = 64  # rows that go through the model at once
COMPILE_BUDGET = 120  # seconds of training from which torch.compile pays

MATRIX_LR, EMBED_LR, UNEMBED_LR, SCALAR_LR = 0.04, 0.6, 0.004, 0.5
WEIGHT_DECAY = 0.2  # of matrices; falls to 0 with progress
WARMDOWN = 0.5  # part of the budget in which learning rates fall to 0
GATE_CHANNELS = 32
SOFTCAP = 15.0
NS_STEPS = 5

# https://arxiv.org/abs/2505.16932, one odd quintic polynomial a row
POLAR = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x (B, T, heads, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


def linear(rows: int, columns: int, bound: float) -> nn.Linear:
    """Without bias, from the uniform distribution on +-bound; 0: all zeros."""
    layer = nn.Linear(columns, rows, bias=False)
    nn.init.uniform_(layer.weight, -bound, bound)
    return layer


class Block(nn.Module):
    """Attention and MLP, each on the normalised stream."""

    def __init__(self, width: int, heads: int, has_values: bool):
        super().__init__()
        self.heads = heads
        bound = math.sqrt(3 / width)
        self.q, self.k, self.v = (linear(width, width, bound) for _ in range(3))
        self.out = linear(width, width, 0.0)
        self.up, self.down = linear(4 * width, width, bound), linear(width, 4 * width, 0.0)
        self.gate = linear(heads, GATE_CHANNELS, 0.0) if has_values else None

    def forward(self, x: Tensor, extra: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attend(norm(x), extra, cos, sin)
        return x + self.down(F.relu(self.up(norm(x))).square())

    def attend(self, x: Tensor, extra: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (layer(x).view(rows, length, self.heads, -1) for layer in (self.q, self.k, self.v))
        if extra is not None and self.gate is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :GATE_CHANNELS]))
            v = v + gate.unsqueeze(-1) * extra.view_as(v)
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        q, k, v = (t.transpose(1, 2).to(v.dtype) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(rows, length, width))


class GPT(nn.Module):
    """Token ids (B, T) int64 -> logits (B, T, V)."""

    def __init__(self, vocab_size: int, seq_len: int, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        bound = math.sqrt(3 / WIDTH)
        with_values = {block for block in range(DEPTH) if block % 2 == (DEPTH - 1) % 2}
        self.embed = nn.Embedding(vocab_size, WIDTH)
        self.blocks = nn.ModuleList([Block(WIDTH, HEADS, block in with_values) for block in range(DEPTH)])
        self.values = nn.ModuleDict({str(block): nn.Embedding(vocab_size, WIDTH) for block in sorted(with_values)})
        self.unembed = nn.Linear(WIDTH, vocab_size, bias=False)
        nn.init.normal_(self.unembed.weight, std=1e-3)
        for table in self.values.values():
            nn.init.uniform_(table.weight, -bound, bound)
        self.residual = nn.Parameter(torch.ones(DEPTH))
        self.skip = nn.Parameter(torch.full((DEPTH,), 0.1))
        half = WIDTH // HEADS // 2
        angles = torch.outer(torch.arange(seq_len), 10_000.0 ** -(torch.arange(half) / half))
        self.register_buffer("cos", angles.cos()[:, None], persistent=False)  # (T, 1, head_dim / 2)
        self.register_buffer("sin", angles.sin()[:, None], persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = first = norm(self.embed(tokens))
        cos, sin = self.cos[: x.size(1)], self.sin[: x.size(1)]
        for i, block in enumerate(self.blocks):
            x = self.residual[i] * x + self.skip[i] * first
            extra = self.values[str(i)](tokens) if str(i) in self.values else None
            x = block(x, extra, cos, sin)
        return SOFTCAP * torch.tanh(self.unembed(norm(x)).float() / SOFTCAP)


class Muon(torch.optim.Optimizer):
    """One group a shape; its matrices are updated together."""

    def __init__(self, matrices: list[nn.Parameter], dtype: torch.dtype):
        shapes = sorted({tuple(p.shape) for p in matrices})
        groups = [{"params": [p for p in matrices if tuple(p.shape) == shape]} for shape in shapes]
        super().__init__(groups, {"lr": MATRIX_LR, "momentum": 0.95, "decay": WEIGHT_DECAY})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params = group["params"]
            state = self.state[params[0]]
            grads = torch.stack([p.grad for p in params])
            tall = grads.size(-2) >= grads.size(-1)
            if not state:
                state["momentum"] = torch.zeros_like(grads)
                state["second"] = torch.zeros_like(grads[..., :1] if tall else grads[..., :1, :])
            state["momentum"].lerp_(grads, 1 - group["momentum"])
            update = orthogonalise(grads.lerp(state["momentum"], group["momentum"]).to(self.dtype)).float()
            mean = update.square().mean(-1 if tall else -2, keepdim=True)
            size = update.norm(dim=(-2, -1), keepdim=True)
            state["second"].lerp_(mean, 0.05)
            update = update * state["second"].clamp(min=1e-10).rsqrt()
            update = update * (size / (update.norm(dim=(-2, -1), keepdim=True) + 1e-7))
            lr = group["lr"] * max(1.0, grads.size(-2) / grads.size(-1)) ** 0.5
            weights = torch.stack(list(params))
            weights = weights - lr * (update + group["decay"] * weights * (update * weights >= 0))
            for p, new in zip(params, weights.unbind(), strict=True):
                p.copy_(new)


def orthogonalise(x: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices to x (N, rows, columns), approximately."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    tall = x.size(-2) > x.size(-1)
    for a, b, c in POLAR[:NS_STEPS]:
        gram = x.mT @ x if tall else x @ x.mT
        mixed = b * gram + c * (gram @ gram)
        x = a * x + (x @ mixed if tall else mixed @ x)
    return x


def optimisers(model: GPT, task) -> list[torch.optim.Optimizer]:
    scale = (WIDTH / 768) ** -0.5
    matrices = [p for p in model.blocks.parameters() if p.size(-1) != GATE_CHANNELS]
    gates = [p for p in model.blocks.parameters() if p.size(-1) == GATE_CHANNELS]
    adam = torch.optim.AdamW(
        [
            {"params": [*model.embed.parameters(), *model.values.parameters()], "lr": EMBED_LR * scale},
            {"params": [*model.unembed.parameters(), *gates], "lr": UNEMBED_LR * scale},
            {"params": [model.residual], "lr": SCALAR_LR * 0.01},
            {"params": [model.skip], "lr": SCALAR_LR, "betas": (0.96, 0.95)},
        ],
        betas=(0.8, 0.95),
        eps=1e-7,
        weight_decay=0.0,
        fused=True,
    )
    both = [adam, Muon(matrices, torch.bfloat16 if task.amp_dtype == torch.bfloat16 else torch.float32)]
    for optimiser in both:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return both


def train(task) -> nn.Module:
    model = GPT(task.vocab_size, task.seq_len, task.seed).to(task.device)
    if task.amp_dtype == torch.bfloat16:
        for table in (model.embed, *model.values.values()):
            table.to(torch.bfloat16)
    both = optimisers(model, task)
    scaler = torch.amp.GradScaler(task.device.type, enabled=task.amp_dtype == torch.float16)
    accumulate = -(-BATCH_ROWS // MICRO_ROWS)
    rows = -(-BATCH_ROWS // accumulate)

    def backward(forward: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(task.device.type, dtype=task.amp_dtype, enabled=task.amp_dtype is not None):
            logits = forward(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        scaler.scale(loss / accumulate).backward()
        return loss.detach()

    forward = model
    if task.device.type == "cuda" and task.clock.seconds_left >= COMPILE_BUDGET:
        forward = torch.compile(model, dynamic=False)
        for x, y in islice(task.warmup_batches(rows), 3):
            backward(forward, x, y)
        model.zero_grad(set_to_none=True)
    for step, (x, y) in enumerate(task.batches(rows), 1):
        task.report(backward(forward, x, y))
        if step % accumulate:
            continue
        progress = task.clock.progress
        factor = min(1.0, (1 - progress) / WARMDOWN)
        momentum = 0.85 + 0.1 * min(1.0, step / accumulate / 300)
        for optimiser in both:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor
        for group in both[1].param_groups:
            group["momentum"], group["decay"] = momentum, WEIGHT_DECAY * (1 - progress)
        for optimiser in both:
            scaler.step(optimiser)
        scaler.update()
        model.zero_grad(set_to_none=True)
    return model
