"""Time our training step on random tokens; prints one JSON line. See benchmarks/train_step.py."""

import json
import resource
import time

import mindspore as ms
import numpy as np
from mindspore import Tensor

from benchmarks.shapes import parse_shape
from model.config import ModelConfig
from model.llama import Llama
from training.config import TrainConfig
from training.device import select_device
from training.step import TrainStep


def main() -> None:
    """Median time of `--steps` steps after one that compiles: clipping and AdamW included."""
    shape = parse_shape()
    select_device("CPU")
    config = ModelConfig(
        dim=shape.dim, n_layers=shape.layers, n_heads=shape.heads, max_seq_len=shape.seq,
        vocab_size=shape.vocab,
    )  # fmt: skip
    step = TrainStep(Llama(config), TrainConfig(learning_rate=3e-4))
    ids = np.random.default_rng(0).integers(0, shape.vocab, (2, shape.batch, shape.seq), np.int32)
    weight = np.ones(ids[0].shape, np.float32)
    batch = [Tensor(field) for field in (ids[0], ids[1], weight, np.zeros_like(ids[0]))]
    times = []
    for _ in range(shape.steps + 1):
        start = time.perf_counter()
        loss = float(step(*batch)[0])
        times.append(time.perf_counter() - start)
    median = sorted(times[1:])[shape.steps // 2]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    name = f"MindSpore {ms.__version__}"
    print(json.dumps({"name": name, "seconds": median, "peak_gib": peak, "loss": loss}))


if __name__ == "__main__":
    main()
