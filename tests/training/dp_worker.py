"""One rank of test_parallel.py: some steps of a tiny network, its weights saved at the end."""

import sys
from pathlib import Path

import numpy as np
from mindspore import Tensor, ops

from corpus.token_file import TokenFile
from model.config import ModelConfig
from model.llama import Llama
from runs.device import select_device
from training import shared_memory
from training.config import TrainConfig
from training.feeds.base import RankRows, batches
from training.feeds.tokens import TokenFeed
from training.heldout import HeldOut
from training.objectives.cross_entropy import NextToken
from training.parallel import World, join_world
from training.step import TrainStep

STEPS, SEQ_LEN, GLOBAL_BATCH = 6, 16, 4
RESUMED = ("native-sharded", "native-messages")


def main() -> None:
    data, output = sys.argv[1:]
    select_device("CPU")
    world = join_world()
    file = TokenFile.open(data)
    kinds = {"plain": {}, "sharded": {"shard_optimizer": True}}
    kinds["muon"] = {"optimizer": "muon", "shard_optimizer": True}
    kinds |= {f"native-{kind}": {**options, "kernels": "native"} for kind, options in kinds.items()}
    if world.size > 1:
        kinds["native-messages"] = kinds["native-muon"]
    for kind, options in kinds.items():
        if kind == "native-messages":  # as between machines
            shared_memory.FOLDER = Path(output) / "nowhere"
        values = train(file, world, world.size > 1 and kind in RESUMED, **options)
        np.savez(f"{output}-{kind}-{world.rank}.npz", **values)
    if world.size > 1:
        # A rank that leaves early takes the others' connection with it.
        ops.AllReduce()(Tensor(np.zeros(1, np.float32))).asnumpy()


def train(file: TokenFile, world: World, resumes: bool, **options) -> dict[str, np.ndarray]:
    """Losses, optimizer's bytes, weights and moments after some steps.

    Where each rank has all moments, the held-out nats too. If it `resumes`, the second half of the
    steps is done again, by a step with the state at half time: `exact` says whether the results are
    the same to the bit. One more step is bad on the last rank only, and must be skipped by all.
    """
    step, feed = make_step(world, **options), TokenFeed(file, file, SEQ_LEN, 2, 1)
    rows, micro_batch = STEPS * GLOBAL_BATCH // world.size, GLOBAL_BATCH // world.size
    own = RankRows(feed, 0, rows, world.rank, world.size)
    columns = [*batches(own, feed.columns, micro_batch).create_dict_iterator(output_numpy=True)]
    losses = [run(step, batch) for batch in columns[: STEPS // 2]]
    half = state(step)
    losses += [run(step, batch) for batch in columns[STEPS // 2 :]]
    figures = {"losses": losses, "bytes": step.optimizer.n_bytes}
    if resumes:
        again = make_step(world, **options)
        for parameter in [*again.optimizer.all_weights(), *again.counters()]:
            parameter.set_data(Tensor(half[parameter.name]))
        again.optimizer.set_moments(half)
        same = [run(again, batch) for batch in columns[STEPS // 2 :]] == losses[STEPS // 2 :]
        first, second = state(step), state(again)
        figures["exact"] = same and all(np.array_equal(first[n], second[n]) for n in first)
    batch = columns[-1]
    if world.rank == world.size - 1:
        batch["loss_weight"] = batch["loss_weight"] * np.inf
    figures["bad_steps"] = int(step(*map(Tensor, batch.values()))[3])
    if not options.get("shard_optimizer"):
        objective = NextToken(step.gradients.objective.network)
        figures["nats"] = HeldOut(objective, feed.held_out, 2, world).evaluate().nats
    return figures | state(step)


def make_step(world: World, **options) -> TrainStep:
    shape = {"dim": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": SEQ_LEN, "vocab_size": 64}
    native = options.get("kernels") == "native"
    network = Llama(ModelConfig(**shape, dropout=0.1), native=native)
    config = TrainConfig(max_steps=STEPS + 1, warmup_steps=0, learning_rate=1e-2, **options)
    return TrainStep(NextToken(network), config, world=world, drops=True, native=native)


def run(step: TrainStep, batch: dict[str, np.ndarray]) -> float:
    """The loss of a step."""
    return float(step(*map(Tensor, batch.values()))[0])


def state(step: TrainStep) -> dict[str, np.ndarray]:
    """What a checkpoint holds, by name."""
    parameters = [*step.optimizer.all_weights(), *step.counters()]
    return {p.name: p.asnumpy().copy() for p in parameters} | step.optimizer.moments()


if __name__ == "__main__":
    main()
