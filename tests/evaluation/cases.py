"""A run directory with everything but the training: the debug recipe with its initial weights."""

import dataclasses
import json
from pathlib import Path

from chat.template import ChatTemplate
from corpus.pipeline import build
from corpus.vocabulary import tokenizer_for
from model.llama import Llama
from recipe import load_recipe
from runs.checkpoint import copy_values
from runs.run import METRICS, Run
from tests.model.cases import lively
from training.objectives.config import RewardConfig

REPO = Path(__file__).resolve().parent.parent.parent
STEPS = 20
METRIC_LINES = [
    {"step": 10, "tokens": 2560, "loss": 5.9, "lr": 2e-3, "grad_norm": 1.0, "tokens_per_s": 1280.0},
    {"step": 10, "val_loss": 5.8, "bits_per_byte": 1.41},
    {"step": 20, "tokens": 5120, "loss": None, "lr": 1e-4, "grad_norm": 1.0, "tokens_per_s": 640.0},
]


def make_run(folder: Path) -> Run:
    """Data in `folder`/data, the run in `folder`/out/debug."""
    corpus = REPO / "tests" / "data" / "corpus.jsonl"
    options = {
        "--data.dir": folder / "data",
        "--data.sources": f"[{{reader: jsonl, path: {corpus}}}]",
        "--out_dir": folder / "out",
    }
    overrides = [str(part) for option in options.items() for part in option]
    recipe = load_recipe(REPO / "configs" / "debug.yaml", overrides)
    build(recipe.tokenizer, recipe.data)
    tokenizer = tokenizer_for(recipe.tokenizer, recipe.data)
    model = dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size)
    run = Run(recipe.run_dir, dataclasses.replace(recipe, model=model))
    run.create(tokenizer)
    weights = copy_values(list(Llama(model, seed=1).get_parameters()))
    run.checkpoints.save(STEPS, weights, {}, {})
    lines = "".join(json.dumps(line) + "\n" for line in METRIC_LINES)
    (run.path / METRICS).write_text(lines, encoding="utf-8")
    return run


def make_reward_run(base: Run) -> Run:
    """A reward model beside a run, its weights random and large enough to tell answers apart."""
    model = dataclasses.replace(base.recipe.model, value_head=True, document_mask=True)
    data = dataclasses.replace(base.recipe.data, kind="pairs")
    recipe = dataclasses.replace(
        base.recipe, name="reward", model=model, data=data, objective=RewardConfig()
    )
    run, tokenizer = Run(recipe.run_dir, recipe), base.tokenizer()
    run.create(tokenizer, template=ChatTemplate.for_tokenizer(tokenizer, "question_answer"))
    weights = copy_values(list(lively(Llama(model)).get_parameters()))
    run.checkpoints.save(1, weights, {}, {})
    return run
