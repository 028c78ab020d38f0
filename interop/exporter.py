"""Export: write a run in a foreign format, read it back, compare, and only then publish it."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from mindspore import Tensor

from chat.template import find_template
from common.errors import UserError
from interop.layout import Layout
from interop.names import check_shapes, parameter_shapes
from interop.new_folder import new_folder
from interop.registry import Exported, Weights, choose_dtype, find_format
from model.config import ModelConfig
from model.llama import Llama, Logits
from runs.checkpoint import copy_values
from runs.run import Run
from tokenizer.tokenizer import Tokenizer

PROMPT = "床前明月光，疑是地上霜。Once upon a time, 1 + 2 = 3."
MAX_PROMPT = 32
# No foreign format knows these: how documents were masked and what was dropped in training, and
# how many of the padded rows stand for an id.
NOT_EXPORTED = {"document_mask", "dropout", "vocab_size"}


def export(
    run: Run, name: str, output: Path, dtype: str | None = None, layout: Layout | None = None
) -> str:
    """Export the chosen checkpoint of a run into the folder `output`; returns what was checked.

    Raises:
        UserError: the folder is taken, the format cannot hold the run, or what was written does
            not give the run's scores; then nothing is left.
    """
    form = find_format(name)
    dtype = choose_dtype(name, form.tolerances, dtype)
    with new_folder(output) as folder:
        network, exported = load(run, dtype, layout)
        logits = Logits(network)
        right = prompt_logits(logits, exported.tokenizer)
        form.write(exported, folder)
        config, weights = form.read_back(folder)
        check_config(config, exported.config)
        put(weights, network)
        got = prompt_logits(logits, exported.tokenizer)
        return compare(got, right, form.tolerances[dtype])


def load(run: Run, dtype: str, layout: Layout | None = None) -> tuple[Llama, Exported]:
    """The network of a run, and what a format gets of it.

    Raises:
        UserError: the run has no sound checkpoint.
    """
    if run.recipe.objective.kind == "reward":
        raise UserError(
            f"{run.path} is a reward model, whose value head no format holds; export the run that "
            "it began from"
        )
    network, step = run.load_model(value_head=False), run.chosen_checkpoint.step
    held_out = [each for each in run.metrics() if "val_loss" in each and each["step"] <= step]
    tokenizer = run.tokenizer()
    exported = Exported(
        recipe=replace(run.recipe, model=network.config),
        weights=copy_values(list(network.get_parameters())),
        tokenizer=tokenizer,
        template=find_template(run.path, tokenizer),
        step=step,
        figures=held_out[-1] if held_out else {},
        dtype=dtype,
        split=run.split_weights if run.chosen_checkpoint.has_adapter else None,
        layout=layout,
    )
    return network, exported


def prompt_logits(logits: Logits, tokenizer: Tokenizer) -> np.ndarray:
    """Logits of the next id after <eos> and after each id of a fixed prompt, (t, V)."""
    ids = [tokenizer.eos_id, *tokenizer.encode(PROMPT)]
    ids = np.array([ids[: min(MAX_PROMPT, logits.network.config.max_seq_len)]], np.int32)
    found = logits(Tensor(ids), Tensor(np.zeros_like(ids))).asnumpy()[0]
    # Later ids only pad the tables; some formats leave them out.
    return found[:, : tokenizer.vocab_size]


def check_config(got: ModelConfig, right: ModelConfig) -> None:
    """Make sure that the shape read back is the run's.

    Raises:
        UserError: names the field that differs.
    """
    names = [field.name for field in fields(ModelConfig) if field.name not in NOT_EXPORTED]
    for name in [*names, "padded_vocab_size"]:
        if getattr(got, name) != getattr(right, name):
            raise UserError(
                f"the export failed its check: {name} is {getattr(got, name)} when it is read "
                f"back, in the run it is {getattr(right, name)}; nothing was written"
            )


def put(weights: Weights, network: Llama) -> None:
    """Fill a network with weights of exactly its names and shapes.

    Raises:
        UserError: names the first difference.
    """
    shapes = {name: value.shape for name, value in weights.items()}
    check_shapes(shapes, parameter_shapes(network.config), "the export")
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(weights[parameter.name]))


def compare(got: np.ndarray, right: np.ndarray, tolerance: float) -> str:
    """A line that says how far scores read back, (t, V), are from the run's.

    Raises:
        UserError: farther than `tolerance`, as a share of the largest score.
    """
    difference = float(np.abs(got - right).max() / np.abs(right).max())
    same = int((got.argmax(-1) == right.argmax(-1)).sum())
    summary = (
        f"read back, its scores after {len(right)} ids of a prompt differ by at most "
        f"{difference:.2g} of the largest score; the most likely id is the same after {same}"
    )
    if not difference <= tolerance:  # so that NaN fails
        raise UserError(
            f"the export failed its check: {summary}; {tolerance:g} is allowed, nothing was written"
        )
    return summary
