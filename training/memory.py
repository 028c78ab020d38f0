"""How much memory a rank will need, said before it is taken."""

import math

from model.adapters import count_trained
from model.config import AdapterConfig, ModelConfig
from model.head import BYTES_FLOAT32, CHUNK_BYTES
from training.config import TrainConfig
from training.parallel import World

# Fitted to the peak memory of processes on the CPU: 23 shapes of the training step alone (2 to 8
# layers, width 192 to 768, vocabulary 5,000 to 64,794, 256 to 4,096 tokens at once, met within
# 9 %), and what four runs of pretrain.py took beyond it (met within 5 %).
FRAMEWORK_BYTES = int(0.6 * 2**30)
COPIES, MORE_COPIES = 10.4, 3.5
"""of the weights: themselves, gradients, clipped gradients, two moments, a checkpoint that is being
written, parts of the tables; and more where the gradients of micro-batches are summed"""
FROZEN_COPIES = 2.3
"""of weights that an adapter leaves as they are: themselves, and what they were read from"""
WIDE, KEYS, HIDDEN, SCORES = 36.0, 6.0, 4.7, 3.1
"""tensors of width D, of the keys' width, of width F, and of T a head, for each token in each
block; two thirds of them are of training, the others of evaluation"""
CHUNKS = 2.3
"""of logits at a time"""

# The native kernels: fitted to what whole runs took, with evaluation and a checkpoint (3
# to 58 million parameters, 1,024 to 8,192 tokens at once, vocabulary 8,000 to 64,794), met within
# 2 %. Products in bfloat16 take less than this says.
NATIVE_FRAMEWORK_BYTES = int(0.648 * 2**30)
NATIVE_COPIES, NATIVE_WIDE, NATIVE_HIDDEN = 11.3, 10.2, 3.4
"""of the weights; tensors of width D and of width F for each token in each block. Gradients are in
one buffer, whatever the number of micro-batches, and no attention weights are kept."""


def estimate_memory(
    model: ModelConfig,
    adapter: AdapterConfig,
    config: TrainConfig,
    accumulates: bool,
    world: World,
    native: bool = False,
) -> int:
    """Bytes of one rank, the framework included, as a process on the CPU takes them.

    Recomputation, which saves nothing there, is left out. `accumulates` says whether a step has
    several micro-batches, `native` whether it has the native kernels.
    """
    tokens = config.micro_batch * model.max_seq_len
    whole, low = count_trained(model, adapter)
    trained, frozen = whole + low, FROZEN_COPIES * (model.n_params() - whole)
    shared = (2 - 2 / world.size) * config.shard_optimizer
    if native:
        from model.native.loss_cells import kept_shape

        block = NATIVE_WIDE * model.dim + NATIVE_HIDDEN * model.hidden_dim
        logits = math.prod(kept_shape(tokens, model.padded_vocab_size))
        copies = (NATIVE_COPIES - shared) * trained
        numbers = copies + frozen + tokens * model.n_layers * block + logits
        return NATIVE_FRAMEWORK_BYTES + int(BYTES_FLOAT32 * numbers)
    copies = COPIES + MORE_COPIES * accumulates - shared
    block = WIDE * model.dim + KEYS * model.kv_dim + HIDDEN * model.hidden_dim
    block += SCORES * model.n_heads * model.max_seq_len
    logits = min(BYTES_FLOAT32 * tokens * model.padded_vocab_size, CHUNK_BYTES)
    numbers = copies * trained + frozen + tokens * model.n_layers * block
    return FRAMEWORK_BYTES + int(BYTES_FLOAT32 * numbers + CHUNKS * logits)
