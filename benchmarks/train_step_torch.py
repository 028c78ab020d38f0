"""The peer: a plain PyTorch Llama of the same shape; prints one JSON line like ours."""

import json
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.shapes import WARM_UP, parse_shape


class RMSNorm(nn.Module):
    """Composed RMSNorm."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        """Normalise the last axis."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class Block(nn.Module):
    """Attention by PyTorch's fused kernel, and SwiGLU."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        hidden = 32 * ((int(8 * dim / 3) + 31) // 32)
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.w1, self.w3 = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.attention_norm, self.ffn_norm = RMSNorm(dim), RMSNorm(dim)

    def rotate(self, x, cos, sin):
        """Rotary embedding in the rotate-half layout."""
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin

    def forward(self, x, cos, sin):
        """Map (B, T, D) -> (B, T, D)."""
        batch, seq, dim = x.shape
        h = self.attention_norm(x)
        q, k, v = (
            w(h).view(batch, seq, self.heads, self.head_dim).transpose(1, 2)
            for w in (self.wq, self.wk, self.wv)
        )
        q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.wo(o.transpose(1, 2).reshape(batch, seq, dim))
        h = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class Llama(nn.Module):
    """Tied Llama2 that returns the mean loss."""

    def __init__(self, vocab, dim, layers, heads, seq):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = RMSNorm(dim)
        inverse = 1 / 10000 ** (torch.arange(0, dim // heads, 2) / (dim // heads))
        angle = torch.outer(torch.arange(seq), inverse)
        angle = torch.cat((angle, angle), -1)[None, None]
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens, targets):
        """Mean cross-entropy of (B, T) targets."""
        h = self.embedding(tokens)
        for block in self.blocks:
            h = block(h, self.cos, self.sin)
        logits = self.norm(h) @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main() -> None:
    """Median time of `--steps` steps after two that warm up; PyTorch's fused AdamW.

    A step is `--accumulate` micro-batches, whose gradient is averaged and clipped, as ours is.
    """
    shape = parse_shape()
    torch.manual_seed(0)
    model = Llama(shape.vocab, shape.dim, shape.layers, shape.heads, shape.seq)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, fused=True)
    loss_fn = torch.compile(model) if shape.compile else model
    tokens, targets = torch.randint(0, shape.vocab, (2, shape.batch, shape.seq))
    times = []
    for _ in range(shape.steps + WARM_UP):
        start = time.perf_counter()
        for _ in range(shape.accumulate):
            with torch.autocast("cpu", torch.bfloat16, enabled=shape.dtype == "bfloat16"):
                loss = loss_fn(tokens, targets) / shape.accumulate
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        times.append(time.perf_counter() - start)
    median = sorted(times[WARM_UP:])[shape.steps // 2]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    name = f"PyTorch {torch.__version__} {'compiled' if shape.compile else 'eager'}"
    name += ", bfloat16" * (shape.dtype == "bfloat16")
    print(json.dumps({"name": name, "seconds": median, "peak_gib": peak}))


if __name__ == "__main__":
    main()
