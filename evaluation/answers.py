"""A run's answers to tasks, as rewards score them."""

import json
from collections.abc import Sequence
from dataclasses import fields

from chat.messages import parse_messages
from chat.template import TEMPLATE_NAME, ChatTemplate
from common.errors import UserError
from generation.decoding import Decoder
from generation.generation import Generation
from generation.sampling import Sampling
from rewards.answer import Answer
from runs.run import Run
from tokenizer.tokenizer import Tokenizer

ROWS = 32
"""Answers written side by side."""


def answer_tasks(run: Run, keys: Sequence[dict]) -> list[Answer]:
    """Answers to tasks, given as `ExampleFile.key` does, sampled as the run's `eval` section says.

    A run without a chat template, which knows no questions, continues the key's `plain` text.

    Raises:
        UserError: it has no template and a key has no such text, a prompt does not fit the
            context, or the model's scores are not finite.
    """
    tokenizer = run.tokenizer()
    template = None
    if (run.path / TEMPLATE_NAME).is_file():
        template = ChatTemplate.load(run.path, tokenizer)
    end_ids = template.end_ids if template else [tokenizer.eos_id]
    prompts = [_prompt_ids(key, template, tokenizer) for key in keys]
    config = run.recipe.eval
    sampling = Sampling(**{f.name: getattr(config, f.name) for f in fields(Sampling)})
    decoder = Decoder(run.load_model())
    answers = []
    for begin in range(0, len(keys), ROWS):
        rows = range(begin, min(begin + ROWS, len(keys)))
        ids: list[list[int]] = [[] for _ in rows]
        try:
            written = Generation(
                decoder,
                [prompts[row] for row in rows],
                sampling,
                tokenizer.eos_id,
                end_ids,
                tokenizer.vocab_size,
                list(rows),
            )
            for new in written:
                ids[new.row].append(new.token)
        except ValueError as error:
            raise UserError(str(error)) from error
        for row, found, reason in zip(rows, ids, written.stopped_by):
            question = keys[row]["prompt"][-1]["content"]
            key = {name: value for name, value in keys[row].items() if name != "prompt"}
            text = tokenizer.decode(found).strip()
            answers.append(Answer(question, text, key, reason == "<eos>"))
    return answers


def _prompt_ids(key: dict, template: ChatTemplate | None, tokenizer: Tokenizer) -> list[int]:
    if template:
        return template.prompt_ids(parse_messages(key["prompt"]))
    if not key.get("plain"):
        raise UserError(
            f"the run has no chat template, and the task {json.dumps(key, ensure_ascii=False)} has "
            "no plain text to continue; fine-tune the run on dialogues first"
        )
    return tokenizer.encode(key["plain"])
