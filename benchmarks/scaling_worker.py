"""One worker of benchmarks/scaling.py: times our training step; writes a JSON file."""

import argparse
import json
import os
import time
from pathlib import Path


def main() -> None:
    """Median seconds of an optimizer step, after one that compiles."""
    parser = argparse.ArgumentParser()
    for name in ("dim", "layers", "heads", "vocab", "seq", "batch", "steps", "micro_batches"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--kernels", required=True)
    parser.add_argument("--shard_optimizer", action="store_true")
    parser.add_argument("--cores", type=int, nargs="+", required=True, help="one a rank, or all")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    rank = os.environ.get("RANK_ID")
    # Before MindSpore counts the cores: it then computes in as many threads.
    os.sched_setaffinity(0, args.cores if rank is None else {args.cores[int(rank)]})
    seconds = time_steps(args)
    if rank in (None, "0"):
        args.output.write_text(json.dumps(seconds), encoding="utf-8")


def time_steps(args: argparse.Namespace) -> list[float]:
    """Seconds of each of `--steps` optimizer steps."""
    import mindspore
    import numpy as np
    from mindspore import Tensor

    from model.config import ModelConfig
    from model.llama import Llama
    from runs.device import select_device, select_kernels
    from training.config import TrainConfig
    from training.objectives.cross_entropy import NextToken
    from training.parallel import all_reduce_sum, join_world
    from training.step import TrainStep

    select_device("CPU")
    world = join_world()
    native, _ = select_kernels(args.kernels, mindspore.float32)
    config = ModelConfig(
        dim=args.dim, n_layers=args.layers, n_heads=args.heads, max_seq_len=args.seq,
        vocab_size=args.vocab,
    )  # fmt: skip
    objective = NextToken(Llama(config, native=native))
    train = TrainConfig(shard_optimizer=args.shard_optimizer)
    step = TrainStep(objective, train, args.micro_batches, world=world, native=native)
    rng = np.random.default_rng(world.rank)
    ids = rng.integers(0, args.vocab, (2, args.batch, args.seq), np.int32)
    weight = np.ones(ids[0].shape, np.float32)
    batch = [Tensor(field) for field in (ids[0], ids[1], weight, np.zeros_like(ids[0]))]
    times = []
    for _ in range(args.steps + 1):
        start = time.perf_counter()
        for _ in range(args.micro_batches):
            step(*batch)[0].asnumpy()
        times.append(time.perf_counter() - start)
    # A rank that leaves early takes the others' connection with it.
    all_reduce_sum()(Tensor(np.zeros(1, np.float32))).asnumpy()
    return times[1:]


if __name__ == "__main__":
    main()
