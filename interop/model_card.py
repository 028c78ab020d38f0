"""README.md of an exported model: what it is, what it was trained on, how well, how to use it."""

import json
from pathlib import Path

from common.errors import UserError
from common.files import atomic_open
from corpus.example_file import ExampleManifest
from corpus.manifest import Manifest
from corpus.token_file import TRAIN_NAME
from interop.registry import Exported
from training.optimizers.registry import describe_optimizer
from training.schedule import describe_schedule

HEADER = """\
---
{library}pipeline_tag: text-generation
tags: [pretrained, baby-llama2-mindspore]
---
"""
LIBRARY = "library_name: transformers\n"
USAGE = """\
```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
ids = {ids}
text = model.generate(torch.tensor([ids]))[0]
print(tokenizer.decode(text, skip_special_tokens=True))
```
"""


CHAT = """\
tokenizer.apply_chat_template(
    [{{"role": "user", "content": {}}}], add_generation_prompt=True, return_dict=False
)"""


def write_card(run: Exported, folder: Path, usage: str | None = None) -> None:
    """Write README.md; `usage` says how to use the model, None: with transformers."""
    header = HEADER.format(library="" if usage else LIBRARY)
    use = ["## Use", "", usage] if usage else _usage(run)
    sections = [header, *_model(run), *figures(run), *_data(run), *_training(run), *use]
    with atomic_open(folder / "README.md", "w") as file:
        file.write("\n".join(sections))


def _model(run: Exported) -> list[str]:
    config = run.config
    form = "Qwen2" if config.attention_bias else "Llama"
    start = run.recipe.train.init_from
    origin = f"trained further from {Path(start).name}" if start else "trained from scratch"
    kind, does = "base", "It continues text; it does not follow instructions."
    if run.template:
        kind, does = "chat", "It answers messages in the form of its chat template."
    tables = "shared with" if config.tie_embeddings else "apart from"
    return [
        f"# {run.recipe.name}",
        "",
        f"A {kind} model of {form} form with {config.n_params():,} parameters, {origin} with "
        f"Baby-Llama2-MindSpore. {does}",
        "",
        f"- width {config.dim}, {config.n_layers} layers, {config.n_heads} heads, "
        f"{config.n_kv_heads} key-value heads, feed-forward {config.hidden_dim}",
        f"- context {config.max_seq_len} tokens, rotary base {config.rope_theta:g}",
        f"- {config.vocab_size:,} ids ({run.recipe.tokenizer.kind}) in a table of "
        f"{config.padded_vocab_size:,} rows, {tables} the output layer",
        "",
    ]


def figures(run: Exported) -> list[str]:
    """The lines of a card with what was measured on held-out data."""
    rows = {
        "held-out loss, nats a token": run.figures.get("val_loss"),
        "bits per byte of held-out text": run.figures.get("bits_per_byte"),
    }
    if "val_reward" in run.figures:  # what was minimised is its negative
        rows = {"held-out reward": run.figures["val_reward"]}
    measured = [f"| {name} | {value:.4f} |" for name, value in rows.items() if value is not None]
    if not measured:
        return ["## Figures", "", "None were measured.", ""]
    return ["## Figures", "", f"| step {run.figures['step']:,} | |", "|---|--:|", *measured, ""]


def _data(run: Exported) -> list[str]:
    lines = ["## Data", ""]
    folder = Path(run.recipe.data.dir)
    try:
        if run.recipe.data.kind == "text":
            manifest = Manifest.load(folder / TRAIN_NAME)
        else:
            manifest = ExampleManifest.load(folder, "train")
    except UserError:
        return [*lines, "The manifest of the training data was not available.", ""]
    if manifest.tokenizer.get("fingerprint") != run.tokenizer.fingerprint:
        return [*lines, "The manifest of the training data was not available.", ""]
    what = "documents" if run.recipe.data.kind == "text" else "examples"
    lines += [f"| source | {what} | characters | tokens |", "|---|--:|--:|--:|"]
    for counts in (*manifest.sources, manifest):
        name = "all" if counts is manifest else counts.name
        lines.append(
            f"| {name} | {counts.documents:,} | {counts.characters:,} | {counts.tokens:,} |"
        )
    return [*lines, "", "Settle the rights in these texts before you publish the model.", ""]


def _training(run: Exported) -> list[str]:
    train = run.recipe.train
    tokens = run.step * train.tokens_per_step
    return [
        "## Training",
        "",
        f"- {run.step:,} steps of {train.tokens_per_step:,} tokens: {tokens:,} tokens",
        f"- {describe_optimizer(train)}, weight decay {train.weight_decay:g}, "
        f"gradient clipped at {train.grad_clip:g}",
        f"- {describe_schedule(train)}; seed {train.seed}",
        f"- weights stored as {run.dtype}",
        "",
    ]


def _usage(run: Exported) -> list[str]:
    prompt = json.dumps((run.recipe.eval.prompts or ["你好"])[0], ensure_ascii=False)
    ids, why = f"tokenizer({prompt}).input_ids", ""
    if run.template:
        ids = CHAT.format(prompt)
        told = f"The tokenizer holds the chat template. {_sampling(run)}"
        return ["## Use", "", told, "", USAGE.format(ids=ids)]
    if not run.config.document_mask:
        ids = f"[tokenizer.eos_token_id, *{ids}]"
        why = "In training a document begins after an end-of-text id, so a prompt does too. "
    return [
        "## Use",
        "",
        f"{why}The tokenizer adds no id of its own, and `<s>` in a text is text. {_sampling(run)}",
        "",
        USAGE.format(ids=ids),
    ]


def _sampling(run: Exported) -> str:
    """How `generate` samples by itself, and how to have the likeliest text."""
    penalty = run.recipe.eval.repetition_penalty
    told = "Without other arguments `generate` samples as `generation_config.json` says"
    if penalty == 1:
        return f"{told}; `do_sample=False` takes the likeliest id each time."
    return (
        f"{told}, with a repetition penalty of {penalty:g}, which `do_sample=False` alone leaves "
        "in force; `do_sample=False, repetition_penalty=1.0` takes the likeliest id each time."
    )
