"""A stand-in for the `kernels` package on a machine without a GPU: attention by torch, below the name of a kernel."""

from types import SimpleNamespace

import torch


def get_kernel(repository):
    """What upstream takes from a kernel that it has downloaded."""
    assert "/" in repository, repository
    return SimpleNamespace(flash_attn_interface=SimpleNamespace(flash_attn_func=attend))


def attend(q, k, v, causal=True, window_size=(-1, -1)):
    """Attention over (rows, positions, heads, width); `window_size` counts positions to the left, -1 for all."""
    ahead = torch.arange(q.size(1))[None] - torch.arange(q.size(1))[:, None]
    seen = ahead <= 0 if causal else torch.ones_like(ahead, dtype=torch.bool)
    if window_size[0] >= 0:
        seen = seen & (ahead >= -window_size[0])
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2)
