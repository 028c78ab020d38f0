"""One rank of test_parallel.py: some steps of a tiny network, its weights saved at the end."""

import sys

import numpy as np
from mindspore import Tensor, ops

from corpus.token_file import TokenFile
from model.config import ModelConfig
from model.llama import Llama
from runs.device import select_device
from training.config import TrainConfig
from training.feeds.base import RankRows, batches
from training.feeds.tokens import TokenFeed
from training.heldout import HeldOut
from training.objectives.cross_entropy import NextToken
from training.parallel import World, join_world
from training.step import TrainStep

STEPS, SEQ_LEN, GLOBAL_BATCH = 6, 16, 4


def main() -> None:
    data, output = sys.argv[1:]
    select_device("CPU")
    world = join_world()
    file = TokenFile.open(data)
    kinds = {"plain": {}, "sharded": {"shard_optimizer": True}}
    kinds["muon"] = {"optimizer": "muon", "shard_optimizer": True}
    kinds["native"] = {"kernels": "native"}
    kinds["native-muon"] = {"optimizer": "muon", "kernels": "native"}
    for kind, options in kinds.items():
        values = train(file, world, **options)
        np.savez(f"{output}-{kind}-{world.rank}.npz", **values)
    if world.size > 1:
        # A rank that leaves early takes the others' connection with it.
        ops.AllReduce()(Tensor(np.zeros(1, np.float32))).asnumpy()


def train(file: TokenFile, world: World, **options) -> dict[str, np.ndarray]:
    """Losses, held-out nats, optimizer's bytes, weights and moments after some steps.

    One more step is bad on the last rank only, and must be skipped by all.
    """
    shape = {"dim": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": SEQ_LEN, "vocab_size": 64}
    native = options.get("kernels") == "native"
    network = Llama(ModelConfig(**shape, dropout=0.1), native=native)
    config = TrainConfig(max_steps=STEPS + 1, warmup_steps=0, learning_rate=1e-2, **options)
    objective, feed = NextToken(network), TokenFeed(file, file, SEQ_LEN, 2, 1)
    step = TrainStep(objective, config, world=world, drops=True, native=native)
    rows = STEPS * GLOBAL_BATCH // world.size
    own = RankRows(feed, 0, rows, world.rank, world.size)
    micro_batch = GLOBAL_BATCH // world.size
    losses = []
    for number, batch in enumerate(
        batches(own, feed.columns, micro_batch).create_dict_iterator(output_numpy=True), 1
    ):
        losses.append(float(step(*map(Tensor, batch.values()))[0]))
        if number == STEPS // 2:  # as a resumed run does
            step.optimizer.set_moments(step.optimizer.moments())
    if world.rank == world.size - 1:
        batch["loss_weight"] = batch["loss_weight"] * np.inf
    bad_steps = int(step(*map(Tensor, batch.values()))[3])
    nats = HeldOut(objective, feed.held_out, 2, world).evaluate().nats
    weights = {p.name: p.asnumpy() for p in network.get_parameters()}
    moments = step.optimizer.moments()
    figures = {"nats": nats, "bytes": step.optimizer.n_bytes, "bad_steps": bad_steps}
    return {"losses": losses, **figures, **weights, **moments}


if __name__ == "__main__":
    main()
