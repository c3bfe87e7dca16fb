"""The candidate: a small GPT and its optimiser. This is the file that is searched over; see program.md for the rules.

`train(task)` builds the model, trains it until `task.batches` stops, and returns it. The clock, the data and the metric
are the harness's. A constant whose comment ends in `search ...` is a knob: a tuner may move it within that range.
"""

import math
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The model
DEPTH = 4  # transformer blocks; search int(1, 8)
WIDTH = 256  # residual stream, rounded to a multiple of 16; search log_int(64, 768, 16)
HEADS = 2  # attention heads; head size is WIDTH / HEADS rounded to a multiple of 16; search int(1, 8)
MLP_RATIO = 4.0  # hidden units of an MLP per unit of width; search float(1.0, 6.0)
ACTIVATION = "relu2"  # MLP non-linearity; search choice("relu2", "gelu", "swiglu")
VALUE_EMBEDDINGS = "alternate"  # blocks whose values get a token embedding; search choice("none", "alternate", "all")
SMEAR = "on"  # mixes each token's embedding with the one before it
SOFTCAP = 15.0  # logits stay within +-SOFTCAP, 0 for no bound; search choice(0.0, 15.0, 30.0)
INIT_SCALE = 1.0  # uniform init of input projections, times sqrt(3 / width)
ROPE_BASE = 10_000.0  # longest rotary wavelength / 2 pi, tokens

# The optimiser
BATCH_ROWS = 64  # rows of seq_len tokens per optimiser step; search log_int(4, 128)
MICRO_ROWS = 64  # rows that go through the model at once; a larger batch accumulates gradients
MATRIX_LR = 0.04  # Muon learning rate of 2-D weights; search log(0.005, 0.2)
EMBED_LR = 1.5  # AdamW learning rate of token and value embeddings at width 128; search log(0.1, 5.0)
UNEMBED_LR = 0.01  # AdamW learning rate of the output layer at width 128; search log(0.001, 0.1)
SCALAR_LR = 0.05  # AdamW learning rate of gates and residual scalars; search log(0.005, 0.5)
MOMENTUM = 0.95  # Muon's; search float(0.8, 0.98)
WEIGHT_DECAY = 0.2  # of 2-D weights, times their learning rate; search float(0.0, 0.5)
NS_STEPS = 5  # orthogonalisation steps in Muon; search int(2, 6)
WARMUP = 0.0  # part of the budget in which learning rates rise from 0
WARMDOWN = 0.5  # part of the budget in which they fall to FINAL_LR; search float(0.1, 1.0)
FINAL_LR = 0.0  # learning rates at the end, times their peak
ADAM_BETAS = (0.8, 0.95)  # decay of AdamW's two moments, per step
ADAM_EPS = 1e-7  # not smaller: it must survive where states are fp16
MATMUL_PRECISION = "medium"  # of float32 products, see torch
COMPILE_BUDGET = 120  # seconds of training from which torch.compile pays

# Coefficients of the polar express, https://arxiv.org/abs/2505.16932; each row is one odd quintic polynomial
POLAR = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    (1.875, -1.25, 0.375),
)


def norm(x: Tensor) -> Tensor:
    """x / rms(x) over the last dimension, without a learnt scale."""
    return F.rms_norm(x, (x.size(-1),))


def generator(seed: int, name: str) -> torch.Generator:
    """Random numbers for one tensor alone."""
    return torch.Generator().manual_seed(seed * 1_000_003 + sum(ord(letter) * 31**i for i, letter in enumerate(name)))


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention to oneself and what was before; q, k, v (B, heads, T, head_dim)."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = q @ k.mT * q.size(-1) ** -0.5  # on one CPU thread twice as fast as the fused kernel's backward
    later = torch.full(scores.shape[-2:], -1e4, dtype=scores.dtype).triu(1)
    return torch.softmax(scores + later, dim=-1) @ v


class GPT(nn.Module):
    """Token ids (B, T) int64 -> logits (B, T, V).

    The weights of all blocks lie in two tensors, every matrix as (outer, width), so that Muon works in two batches.
    Each tensor is drawn from the seed and its own name: variants of this file start alike in what they share.
    """

    def __init__(self, vocab_size: int, seq_len: int, seed: int):
        super().__init__()

        def uniform(name: str, *shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator(seed, name)))

        def normal(name: str, *shape: int) -> Tensor:
            return torch.randn(shape, generator=generator(seed, name))

        self.width = max(16, WIDTH // 16 * 16)
        self.head_dim = max(16, self.width // HEADS // 16 * 16)
        inner = HEADS * self.head_dim
        projections = 3 if ACTIVATION == "swiglu" else 2
        hidden = max(16, int(MLP_RATIO * self.width * 2 / projections) // 16 * 16)
        bound = INIT_SCALE * math.sqrt(3 / self.width)
        self.attention = uniform("attention", DEPTH, 4, inner, self.width)  # q, k, v, out
        self.mlp = uniform("mlp", DEPTH, projections, hidden, self.width)
        with torch.no_grad():  # every block starts as the identity
            self.attention[:, 3].zero_()
            self.mlp[:, -1].zero_()
        self.embed = nn.Parameter(normal("embed", vocab_size, self.width))
        self.unembed = nn.Parameter(normal("unembed", vocab_size, self.width) * 1e-3)
        every = {"none": 0, "alternate": 2, "all": 1}[VALUE_EMBEDDINGS]
        blocks = range(DEPTH - 1, -1, -every) if every else range(0)  # the last block always has one
        self.value_index = {block: i for i, block in enumerate(blocks)}
        self.values = uniform("values", len(self.value_index), vocab_size, inner)
        self.value_gates = nn.Parameter(torch.zeros(len(self.value_index), HEADS, self.width))
        self.smear_gate = nn.Parameter(torch.zeros(self.width))
        self.residual = nn.Parameter(torch.ones(DEPTH))
        self.skip = nn.Parameter(torch.full((DEPTH,), 0.1))
        angles = torch.outer(torch.arange(seq_len), ROPE_BASE ** -torch.linspace(0, 1, self.head_dim // 2))
        self.register_buffer("cos", angles.cos()[:, None, None], persistent=False)  # (T, 1, 1, head_dim / 2)
        self.register_buffer("sin", angles.sin()[:, None, None], persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = norm(F.embedding(tokens, self.embed))
        if SMEAR == "on":
            gate = torch.sigmoid(x[:, 1:] @ self.smear_gate).unsqueeze(-1)
            x = torch.cat((x[:, :1], x[:, 1:] + gate * x[:, :-1]), dim=1)
        first = x
        attention, mlp = self.attention.unbind(), self.mlp.unbind()
        for i in range(DEPTH):
            x = self.residual[i] * x + self.skip[i] * first
            x = x + self.attend(norm(x), tokens, attention[i], self.value_index.get(i))
            x = x + self.transform(norm(x), mlp[i])
        logits = F.linear(norm(x), self.unembed).float()
        return 2 * SOFTCAP * torch.sigmoid(logits * (2 / SOFTCAP)) if SOFTCAP else logits

    def attend(self, x: Tensor, tokens: Tensor, weights: Tensor, value_index: int | None) -> Tensor:
        """Causal attention; x (B, T, width), weights (4, inner, width)."""
        rows, length, _ = x.shape
        qkv = F.linear(x, weights[:3].flatten(0, 1)).view(rows, length, 3, HEADS, self.head_dim)
        values = qkv[:, :, 2]
        if value_index is not None:
            extra = F.embedding(tokens, self.values[value_index]).view_as(values)
            gate = 2 * torch.sigmoid(F.linear(x, self.value_gates[value_index]))
            values = values + gate.unsqueeze(-1) * extra
        q, k = norm(self.rotate(qkv[:, :, :2])).unbind(2)
        y = causal_attention(*(t.transpose(1, 2) for t in (q, k, values.to(q.dtype))))
        return y.transpose(1, 2).flatten(2) @ weights[3]

    def rotate(self, x: Tensor) -> Tensor:
        """Rotary position embedding, https://arxiv.org/abs/2104.09864; x (B, T, 2, heads, head_dim)."""
        cos, sin = self.cos[: x.size(1)], self.sin[: x.size(1)]
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)

    def transform(self, x: Tensor, weights: Tensor) -> Tensor:
        h = F.linear(x, weights[0])
        if ACTIVATION == "swiglu":
            h = F.silu(h) * F.linear(x, weights[1])
        else:
            h = F.gelu(h) if ACTIVATION == "gelu" else F.relu(h).square()
        return h @ weights[-1]


def orthogonalise(x: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices to x (..., rows, columns) with rows >= columns, approximately."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-7)
    for a, b, c in POLAR[:NS_STEPS]:
        gram = x.mT @ x
        x = torch.baddbmm(x, x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalisation, https://kellerjordan.github.io/posts/muon/; weight decay where it agrees."""

    def __init__(self, params: list[nn.Parameter], dtype: torch.dtype):
        super().__init__(params, {"lr": MATRIX_LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                    state["second"] = torch.zeros_like(p[..., :1])
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"]).flatten(0, 1).to(self.dtype)
                update = orthogonalise(update).to(p.dtype).view_as(p)
                size = update.norm(dim=(-2, -1), keepdim=True)
                state["second"].lerp_(update.square().mean(-1, keepdim=True), 0.05)
                update = update * state["second"].clamp(min=1e-10).rsqrt()
                update = update * (size / (update.norm(dim=(-2, -1), keepdim=True) + 1e-7))
                lr = group["lr"] * max(1.0, p.size(-2) / p.size(-1)) ** 0.5
                p.mul_(1 - lr * group["weight_decay"] * (update * p > 0)).sub_(update, alpha=lr)


def optimisers(model: GPT, task) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the rest."""
    scale = (128 / model.width) ** 0.5
    adam = torch.optim.AdamW(
        [
            {"params": [model.embed, model.values], "lr": EMBED_LR * scale},
            {"params": [model.unembed], "lr": UNEMBED_LR * scale},
            {"params": [model.value_gates, model.smear_gate, model.residual, model.skip], "lr": SCALAR_LR},
        ],
        betas=ADAM_BETAS,
        eps=ADAM_EPS,
        weight_decay=0.0,
        fused=True,
    )
    muon = Muon([model.attention, model.mlp], torch.bfloat16 if task.amp_dtype == torch.bfloat16 else torch.float32)
    for optimiser in (adam, muon):
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return [adam, muon]


def lr_factor(progress: float) -> float:
    """Learning rate over its peak: up during WARMUP, flat, down to FINAL_LR during WARMDOWN."""
    if progress < WARMUP:
        return progress / WARMUP
    if progress < 1 - WARMDOWN:
        return 1.0
    return FINAL_LR + (1 - FINAL_LR) * (1 - progress) / WARMDOWN


def compiled(model: GPT, task, rows: int, backward) -> nn.Module:
    """The model through torch.compile, warmed up on dummy tokens; only on CUDA, where it pays within the budget."""
    if task.device.type != "cuda" or task.clock.seconds_left < COMPILE_BUDGET:
        return model
    fast = torch.compile(model, dynamic=False)
    for x, y in islice(task.warmup_batches(rows), 3):
        backward(fast, x, y)
    model.zero_grad(set_to_none=True)
    return fast


def train(task) -> nn.Module:
    """Build the model and train it for the budget."""
    torch.manual_seed(task.seed)
    torch.set_float32_matmul_precision(MATMUL_PRECISION)
    model = GPT(task.vocab_size, task.seq_len, task.seed).to(task.device)
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

    forward = compiled(model, task, rows, backward)
    for step, (x, y) in enumerate(task.batches(rows), 1):
        task.report(backward(forward, x, y))
        if step % accumulate:
            continue
        factor = lr_factor(task.clock.progress)
        for optimiser in both:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor
            scaler.step(optimiser)
        scaler.update()
        model.zero_grad(set_to_none=True)
    return model
