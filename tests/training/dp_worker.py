"""One rank of test_parallel.py: some steps of a tiny network, its weights saved at the end."""

import sys

import numpy as np
from mindspore import Tensor, ops

from corpus.token_file import TokenFile
from model.config import ModelConfig
from model.llama import Llama
from training.config import TrainConfig
from training.dataset import RowStream, batches
from training.device import select_device
from training.heldout import HeldOut
from training.parallel import join_world
from training.step import TrainStep

STEPS, SEQ_LEN, GLOBAL_BATCH = 6, 16, 4


def main() -> None:
    data, output = sys.argv[1:]
    select_device("CPU")
    world = join_world()
    file = TokenFile.open(data)
    network = Llama(ModelConfig(dim=16, n_layers=1, n_heads=2, max_seq_len=SEQ_LEN, vocab_size=64))
    step = TrainStep(network, TrainConfig(max_steps=STEPS, warmup_steps=0, learning_rate=1e-2))
    rows = STEPS * GLOBAL_BATCH // world.size
    stream = RowStream(file, SEQ_LEN, 2, 1, 0, rows, world.rank, world.size)
    losses = []
    for batch in batches(stream, GLOBAL_BATCH // world.size).create_dict_iterator(
        output_numpy=True
    ):
        losses.append(float(step(*map(Tensor, batch.values()))[0]))
    held_out = HeldOut(network, file, 2, 2, world).evaluate()
    values = {p.name: p.asnumpy() for p in step.get_parameters()}
    np.savez(f"{output}-{world.rank}.npz", losses=losses, nats=held_out.nats, **values)
    if world.size > 1:
        # A rank that leaves early takes the others' connection with it.
        ops.AllReduce()(Tensor(np.zeros(1, np.float32))).asnumpy()


if __name__ == "__main__":
    main()
