"""The memory estimate against peaks that were measured."""

import pytest

from model.config import AdapterConfig, ModelConfig
from training.config import TrainConfig
from training.memory import estimate_memory
from training.parallel import World

GIB = 2**30
DEMO = ModelConfig(dim=192, n_layers=4, n_heads=4, vocab_size=8000)
LARGE = ModelConfig(dim=1024, n_layers=12, n_heads=8, vocab_size=64794)


LORA = AdapterConfig(kind="lora")


def estimate(
    model: ModelConfig,
    rows: int,
    accumulates: bool = False,
    ranks: int = 1,
    adapter: AdapterConfig | None = None,
    native: bool = False,
    **train,
):
    config = TrainConfig(micro_batch=rows, **train)
    world, adapter = World(0, ranks), adapter or AdapterConfig()
    return estimate_memory(model, adapter, config, accumulates, world, native)


# Peak resident memory of pretrain.py with evaluation and checkpoints, MindSpore 2.9.0, two cores.
@pytest.mark.parametrize(
    ("model", "rows", "accumulates", "measured"),
    [
        (DEMO, 8, False, 1.27),
        (ModelConfig(dim=288, n_layers=6, n_heads=6, vocab_size=64794), 4, False, 2.36),
        (ModelConfig(dim=384, n_layers=8, n_heads=6, vocab_size=8000), 4, False, 2.16),
        (ModelConfig(dim=192, n_layers=4, n_heads=4, vocab_size=64794), 4, True, 1.81),
    ],
)
def test_near_what_pretrain_took(model, rows, accumulates, measured):
    assert estimate(model, rows, accumulates) == pytest.approx(measured * GIB, rel=0.05)


# The same by the native kernels, which take no more for two micro-batches.
@pytest.mark.parametrize(
    ("model", "rows", "measured"),
    [
        (DEMO, 8, 0.945),
        (ModelConfig(dim=288, n_layers=6, n_heads=6, vocab_size=64794), 4, 2.057),
        (ModelConfig(dim=288, n_layers=6, n_heads=6, vocab_size=8000), 8, 1.314),
        (ModelConfig(dim=288, n_layers=6, n_heads=6, vocab_size=8000), 32, 2.245),
        (
            ModelConfig(dim=512, n_layers=8, n_heads=8, vocab_size=64794, max_seq_len=512),
            2,
            3.622,
        ),
        (ModelConfig(dim=384, n_layers=8, n_heads=6, vocab_size=8000), 4, 1.662),
    ],
)
def test_near_what_the_native_kernels_took(model, rows, measured):
    assert estimate(model, rows, True, native=True) == pytest.approx(measured * GIB, rel=0.05)


def test_what_more_rows_and_fewer_moments_change():
    rows = [estimate(LARGE, n) for n in (4, 8, 12)]
    assert rows[2] - rows[1] == pytest.approx(rows[1] - rows[0]), "logits are cut into chunks"
    whole = estimate(LARGE, 4, ranks=4)
    sharded = estimate(LARGE, 4, ranks=4, shard_optimizer=True)
    assert whole - sharded == pytest.approx(4 * 2 * 3 / 4 * LARGE.n_params(), abs=4)


@pytest.mark.parametrize(
    ("model", "rows", "full", "adapted"),
    [
        (ModelConfig(vocab_size=64794), 4, 1.897, 1.183),
        (ModelConfig(dim=512, n_layers=8, n_heads=8, max_seq_len=512, vocab_size=64794), 2,
         3.477, 1.671),
    ],
)  # fmt: skip
def test_what_an_adapter_saves(model, rows, full, adapted):
    """Peaks of processes that trained all weights, or a LoRA of rank 8 beside them."""
    saved = estimate(model, rows) - estimate(model, rows, adapter=LORA)
    assert saved == pytest.approx((full - adapted) * GIB, rel=0.05)
    tables = AdapterConfig(kind="lora", train_embedding=True, train_norms=True)
    between = estimate(model, rows, adapter=tables)
    assert estimate(model, rows, adapter=LORA) < between < estimate(model, rows)
