"""A stand-in for upstream's train.py, in its layout: a byte model that trains for a second on a CPU."""

import time

import torch
import torch.nn.functional as F
from kernels import get_kernel
from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader
from torch import nn

torch.set_num_threads(1)
attention = get_kernel("stand-in/attention").flash_attn_interface


class Model(nn.Module):
    def __init__(self, vocab_size, width, heads, window):
        super().__init__()
        self.heads, self.window = heads, window
        self.wte = nn.Embedding(vocab_size, width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.lm_head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, idx, targets):
        x = self.wte(idx)
        rows, length, width = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, self.heads, width // self.heads).unbind(2)
        y = attention.flash_attn_func(q, k, v, causal=True, window_size=(self.window, 0))
        logits = self.lm_head(x + y.reshape(rows, length, width))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# Model
ASPECT_RATIO = 16  # width of the model a head
WINDOW_PATTERN = "L"  # L=full, S=half context

# Optimization
TOTAL_BATCH_SIZE = 2**9  # bytes per optimizer step
MATRIX_LR = 0.0005  # learning rate (Adam)
WEIGHT_DECAY = 0.1  # decoupled
ADAM_BETAS = (0.8, 0.95)  # Adam beta1, beta2
H100_BF16_PEAK_FLOPS = 989.5e12

t_start = time.time()
torch.manual_seed(42)
tokenizer = Tokenizer()
window = MAX_SEQ_LEN if WINDOW_PATTERN == "L" else MAX_SEQ_LEN // 2
model = Model(tokenizer.get_vocab_size(), 2 * ASPECT_RATIO, 2, window)
rate = MATRIX_LR / 4
optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=ADAM_BETAS, weight_decay=WEIGHT_DECAY)
rows = TOTAL_BATCH_SIZE // MAX_SEQ_LEN
train_loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")

t_start_training = time.process_time()  # a busy machine trains as many steps as a quiet one
step = 0
while time.process_time() - t_start_training < TIME_BUDGET:
    loss = model(*next(train_loader))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    step += 1
    print(f"\rstep {step:05d} | loss: {loss.item():.6f}", end="", flush=True)
total_training_time = time.process_time() - t_start_training
print()

val_bpb = evaluate_bpb(model, tokenizer, rows)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {total_training_time:.1f}")
print(f"total_seconds:    {time.time() - t_start:.1f}")
print(f"peak_vram_mb:     {0:.1f}")
print(f"total_tokens_M:   {step * TOTAL_BATCH_SIZE / 1e6:.1f}")
print(f"num_steps:        {step}")
print(f"num_params_M:     {sum(p.numel() for p in model.parameters()) / 1e6:.1f}")
