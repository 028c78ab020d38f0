"""The peer of benchmarks/time_to_quality.py: the usual PyTorch script, until a given time.

A Llama of the recipe's shape on the recipe's token files in float32: N(0, 0.02) weights, residual
projections scaled, AdamW (0.9, 0.95) with decay 0.1 of the matrices, gradient clipped to 1, linear
warm-up, cosine to a tenth of the peak over the steps that fit. Rows are the consecutive windows of
the file in a new random order each epoch, as ours are. Saves its weights under our names.
"""

import argparse
import json
import math
import time
from statistics import median

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.train_step_torch import Llama
from corpus.token_file import TokenFile, open_split
from corpus.vocabulary import tokenizer_for
from model.config import ATTENTION_MATRICES, ModelConfig
from recipe import load_recipe

TIMED = 30
"""The last steps whose median time shows how many more fit."""


def main() -> None:
    """Train until `--until`, save, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="recipe with shape and token files")
    parser.add_argument("--until", type=float, required=True, help="seconds since 1970")
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="rows a step")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    recipe = load_recipe(args.config)
    torch.manual_seed(recipe.train.seed)
    tokenizer = tokenizer_for(recipe.tokenizer, recipe.data)
    shape = ModelConfig(**{**vars(recipe.model), "vocab_size": tokenizer.vocab_size})
    model = Llama(
        shape.padded_vocab_size, shape.dim, shape.n_layers, shape.n_heads, shape.max_seq_len
    )
    initialise(model)
    file, _ = open_split(recipe.data.dir)
    steps = train(model, Rows(file, shape.max_seq_len, args.batch), args)
    save_file({our_name(name): p.detach() for name, p in model.named_parameters()}, args.output)
    print(json.dumps({"steps": steps, "tokens": steps * args.batch * shape.max_seq_len}))


def initialise(model: Llama) -> None:
    """N(0, 0.02), and smaller for what writes to the residual stream."""
    residual = 0.02 / math.sqrt(2 * len(model.blocks))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            std = residual if name.endswith(("wo.weight", "w2.weight")) else 0.02
            nn.init.normal_(parameter, std=std)


class Rows:
    """Batches of (tokens, targets), each (batch, T), epoch after epoch."""

    def __init__(self, file: TokenFile, seq_len: int, batch: int):
        ids = torch.from_numpy(file.read(0, file.n_tokens).astype(np.int64))
        rows = (len(ids) - 1) // seq_len
        self.tokens = ids[: rows * seq_len].view(rows, seq_len)
        self.targets = ids[1 : rows * seq_len + 1].view(rows, seq_len)
        self.batch = batch
        self.order = torch.empty(0, dtype=torch.int64)

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next batch; one may span two epochs."""
        while len(self.order) < self.batch:
            self.order = torch.cat((self.order, torch.randperm(len(self.tokens))))
        chosen, self.order = self.order[: self.batch], self.order[self.batch :]
        return self.tokens[chosen], self.targets[chosen]


def train(model: Llama, rows: Rows, args: argparse.Namespace) -> int:
    """Steps until the next one would end too late; returns how many were done."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=True)
    loss_fn = torch.compile(model) if args.compile else model
    times, step = [], 0
    while True:
        start = time.time()
        fitting = int((args.until - start) / median(times[-TIMED:])) if times else TIMED
        if fitting <= 0:
            return step
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(step, args.warmup, step + fitting)
        loss_fn(*rows.next()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step > 1 or not args.compile:
            times.append(time.time() - start)


def rate(step: int, warmup: int, planned: int) -> float:
    """Share of the peak learning rate at a step of `planned` ones."""
    progress = min(1.0, max(0.0, (step - warmup) / max(1, planned - warmup)))
    return min((step + 1) / max(1, warmup), 0.55 + 0.45 * math.cos(math.pi * progress))


def our_name(name: str) -> str:
    """What our network calls a parameter of the peer."""
    if name == "embedding.weight":
        return "embedding"
    if not name.startswith("blocks."):
        return name
    _, layer, part, weight = name.split(".")
    room = "attention." if part in ATTENTION_MATRICES else "feed_forward."
    return f"layers.{layer}.{'' if part.endswith('norm') else room}{part}.{weight}"


if __name__ == "__main__":
    main()
