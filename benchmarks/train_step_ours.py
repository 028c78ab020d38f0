"""Time the product's training on made-up text; prints one JSON line. See benchmarks/train_step.py.

All that `pretrain.py` does is on: token files, document mask, accumulation, clipping, a log line
and a record after every step, then an evaluation and a checkpoint. Its matrix products alone are
timed at the end.
"""

import json
import logging
import multiprocessing
import resource
import tempfile
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.shapes import WARM_UP, parse_shape
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from evaluation.config import EvalConfig
from model.config import AdapterConfig, ModelConfig
from recipe import Recipe
from runs.environment import prepare_environment
from tokenizer.config import TokenizerConfig
from training.config import TrainConfig


class Peak(logging.Handler):
    """Peak memory of the process at its last log line of a step; evaluation comes after that."""

    gib = 0.0

    def emit(self, record):
        """Note it."""
        if "tokens/s" in record.getMessage():
            self.gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Median speed of `--steps` steps of a run, of a LoRA beside random weights with `--rank`."""
    shape = parse_shape()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare_environment(work)
        recipe = make_recipe(shape, work)
        write_text(work / "text.jsonl")
        build(recipe.tokenizer, recipe.data)
        # MindSpore reads its environment when it is imported.
        from benchmarks.step_products import products_alone
        from interop.initial import read_initial
        from model.adapters import count_trained
        from runs.checkpoint import OPTIMIZER
        from runs.device import select_dtype, select_kernels
        from runs.run import Run
        from training.trainer import train

        peak = Peak()
        logging.getLogger("training.hooks.metrics").addHandler(peak)
        if shape.rank:
            recipe = adapting(recipe, shape.rank)
        train(recipe, read_initial)
        run = Run.open(recipe.run_dir)
        metrics, files = run.metrics(), run.newest_checkpoint().path.iterdir()
        sizes = {file.name: file.stat().st_size for file in files}
        dtype = select_dtype(shape.dtype, "CPU")
        native, _ = select_kernels(recipe.train.kernels, dtype)
        alone = products_alone(run.recipe.model, shape.batch * shape.seq, dtype, native)
    records = [record for record in metrics if "mfu" in record][WARM_UP:]
    tokens = recipe.train.tokens_per_step
    result = {
        "name": f"MindSpore, the product{', bfloat16' * (shape.dtype == 'bfloat16')}",
        "tokens": tokens,
        "seconds": tokens / median(record["tokens_per_s"] for record in records),
        "peak_gib": peak.gib,
        "mfu": median(record["mfu"] for record in records),
        "trained": sum(count_trained(recipe.model, recipe.adapter)),
        "moment_bytes": sizes[OPTIMIZER],
        "checkpoint_bytes": sum(sizes.values()),
        "products": alone * shape.accumulate,
    }
    print(json.dumps(result))


def adapting(recipe: Recipe, rank: int) -> Recipe:
    """The recipe with an adapter on all matrices of a base, which is made, of random weights."""
    base = replace(recipe, name="base")
    # In a process of its own, whose memory does not count.
    maker = multiprocessing.get_context("spawn").Process(target=make_base, args=(base,))
    maker.start()
    maker.join()
    train = replace(recipe.train, init_from=str(base.run_dir))
    return replace(recipe, train=train, adapter=AdapterConfig(kind="lora", rank=rank))


def make_base(recipe: Recipe) -> None:
    """A run with a checkpoint of random weights."""
    from corpus.vocabulary import tokenizer_for
    from model.llama import Llama
    from runs.checkpoint import copy_values
    from runs.run import Run

    run = Run(recipe.run_dir, recipe)
    run.create(tokenizer_for(recipe.tokenizer, recipe.data))
    run.checkpoints.save(1, copy_values(list(Llama(recipe.model).get_parameters())), {}, {})


def write_text(path: Path) -> None:
    """500 documents of random characters; at T = 256 a row has parts of two to three."""
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        for length in rng.integers(20, 300, 500):
            text = "".join(map(chr, rng.integers(0x4E00, 0x4E00 + 200, length)))
            file.write(json.dumps({"text": text}) + "\n")


def make_recipe(shape: Namespace, work: Path) -> Recipe:
    """The recipe of the run; its small vocabulary leaves most rows of the table unused."""
    source = SourceConfig(reader="jsonl", path=str(work / "text.jsonl"), field="text")
    return Recipe(
        name="run",
        out_dir=str(work),
        tokenizer=TokenizerConfig(kind="sentencepiece", vocab_size=600),
        data=DataConfig(dir=str(work / "data"), sources=[source], val_fraction=0.05),
        model=ModelConfig(
            dim=shape.dim, n_layers=shape.layers, n_heads=shape.heads, max_seq_len=shape.seq,
            vocab_size=shape.vocab, document_mask=True,
        ),
        train=TrainConfig(
            max_steps=WARM_UP + shape.steps, micro_batch=shape.batch, learning_rate=3e-4,
            tokens_per_step=shape.accumulate * shape.batch * shape.seq,
            log_interval=1, eval_rows=shape.batch, device="CPU", compute_dtype=shape.dtype,
        ),
        eval=EvalConfig(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
