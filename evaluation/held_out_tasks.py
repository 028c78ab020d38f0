"""Scores of answers to tasks that training held out; which tasks, the recipe's sources decide.

A model that was not trained on dialogues is asked in a form of its own: solved tasks of the
training split stand before the task, one a line, and its answer is the rest of the line.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.messages import parse_messages
from common.errors import UserError
from common.intervals import wilson
from corpus.config import DataConfig, SourceConfig
from corpus.example import Example
from corpus.input_file import InputFile
from corpus.passages import PassageIndex
from corpus.registry import find_reader
from evaluation.answers import answer_tasks
from rewards.answer import Answer
from rewards.registry import PASSED, find_reward
from runs.run import Run

LIMIT = 200
"""Tasks of a group."""
SHOTS = 3
"""Solved tasks before the one that a base model is asked."""
GREEDY = {"temperature": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0, "stop": []}
ENDED, EMPTY = "ended", "empty"
"""Rules of every task: it was ended and says something; it says nothing."""


@dataclass(frozen=True)
class TaskKind:
    """Which tasks examine what a reader of dialogues teaches."""

    reader: str
    """of the tasks"""
    rewards: tuple[str, ...]
    """names of the rewards that an answer is checked by"""
    group: Callable[[dict], str]
    """the group of a task by its key; each is scored by itself"""
    plain: Callable[[dict], str]
    """a task as a base model continues it"""
    max_new_tokens: int
    """enough for every right answer; what is longer counts as not ended"""


HELD_OUT_WORDS = "held-out words"


def _chain_group(key: dict) -> str:
    return "last characters never asked" if key["never_asked"] else "known last characters"


TASKS = {
    "idiom_chain": TaskKind(
        "idiom_chain_task",
        ("idiom_chain_first", "idiom_chain_real"),
        _chain_group,
        lambda key: f"{key['word']}，",
        max_new_tokens=12,
    ),
    "idiom_explain": TaskKind(
        "idiom_explain_task",
        ("idiom_explain_nearer", "idiom_explain_right"),
        lambda key: HELD_OUT_WORDS,
        lambda key: f"{key['word']}：",
        max_new_tokens=80,
    ),
    "idiom_guess": TaskKind(
        "idiom_guess_task",
        ("idiom_guess_right",),
        lambda key: HELD_OUT_WORDS,
        lambda key: f"{key['meaning']}：",
        max_new_tokens=12,
    ),
}
"""Tasks by the reader of dialogues that teach them, which that of pairs and tasks extends."""


@dataclass(frozen=True)
class TaskScore:
    """How many answers of a group pass a rule."""

    model: str
    """the run"""
    tasks: str
    """reader and group of the tasks"""
    rule: str
    passed: int
    answers: int

    def __str__(self) -> str:
        """Share and its 95 % interval (Wilson)."""
        low, high = wilson(self.passed, self.answers)
        return f"{self.passed / self.answers:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def score_tasks(run: Run, base: Run | None, limit: int = LIMIT) -> list[TaskScore]:
    """Scores of a run, and of its base beside it, on the tasks that belong to its sources.

    At most `limit` held-out tasks of each group are answered, greedily.
    """
    scores = []
    data = run.recipe.data
    for source in data.sources:
        kind = TASKS.get(source.reader.removesuffix("_task").removesuffix("_pairs"))
        if kind and Path(source.path).is_file():
            held_out, solved = read_tasks(kind, source, data, limit)
            for name, keys in held_out.items():
                for model in filter(None, (run, base)):
                    scores += _score(model, kind, f"{source.reader}, {name}", keys, solved)
    return scores


def read_tasks(
    kind: TaskKind, source: SourceConfig, data: DataConfig, limit: int
) -> tuple[dict[str, list[dict]], list[dict]]:
    """Keys of held-out tasks by group, `limit` spread evenly over each, and some of training.

    Where the data has passages put before dialogues, they stand before the held-out tasks too.
    """
    source = dataclasses.replace(source, reader=kind.reader)
    examples = find_reader(kind.reader).read(
        InputFile(Path(source.path)), source, data.val_fraction
    )
    groups: dict[str, list[dict]] = {}
    solved: list[dict] = []
    for example in examples:
        if example.held_out:
            groups.setdefault(kind.group(example.key), []).append(_key(example))
        elif len(solved) < SHOTS:
            solved.append(_key(example))
    for name, keys in groups.items():
        count = min(limit, len(keys))
        groups[name] = [keys[i * len(keys) // count] for i in range(count)]
    if data.augment_documents:
        groups = {name: _with_passages(keys, data) for name, keys in groups.items()}
    return groups, solved


def _with_passages(keys: Sequence[dict], data: DataConfig) -> list[dict]:
    index = PassageIndex.open(data.augment_documents)
    prompts = [
        index.put_before(parse_messages(key["prompt"]), data.augment_passages) for key in keys
    ]
    return [
        {**key, "prompt": [message.to_json() for message in prompt]}
        for key, prompt in zip(keys, prompts)
    ]


def _key(example: Example) -> dict:
    return {"prompt": [message.to_json() for message in example.messages], **example.key}


def _score(
    run: Run, kind: TaskKind, tasks: str, keys: Sequence[dict], solved: Sequence[dict]
) -> list[TaskScore]:
    shown = "".join(f"{kind.plain(key)}{key['answers'][0]}\n" for key in solved)
    config = dataclasses.replace(run.recipe.eval, max_new_tokens=kind.max_new_tokens, **GREEDY)
    greedy = Run(run.path, dataclasses.replace(run.recipe, eval=config))
    try:
        answers = answer_tasks(greedy, [{**key, "plain": shown + kind.plain(key)} for key in keys])
    except UserError as error:
        print(f"left out {tasks}, by {run.recipe.name}: {error}", flush=True)
        return []
    if run.recipe.objective.kind == "pretrain":
        answers = [_first_line(answer) for answer in answers]
    empty = sum(not answer.completion.strip() for answer in answers)
    ended = sum(answer.ended and bool(answer.completion.strip()) for answer in answers)
    found = {ENDED: ended, EMPTY: empty}
    for name in kind.rewards:
        values = find_reward(name).score_all(answers)
        found[name] = sum(value >= PASSED for value in values)
    return [
        TaskScore(run.recipe.name, tasks, rule, passed, len(answers))
        for rule, passed in found.items()
    ]


def _first_line(answer: Answer) -> Answer:
    line, end, _ = answer.completion.partition("\n")
    return dataclasses.replace(answer, completion=line, ended=bool(end) or answer.ended)


def score_rows(scores: Sequence[TaskScore]) -> list[list[str]]:
    """Rows of a table, with its head: a row for each group and rule, a column for each model."""
    models = list(dict.fromkeys(score.model for score in scores))
    rows = [["tasks", "rule", "answers", *models]]
    ordered = sorted(scores, key=lambda score: (score.tasks, score.rule))
    for (tasks, rule), same in itertools.groupby(ordered, lambda score: (score.tasks, score.rule)):
        by_model = {score.model: score for score in same}
        count = max(score.answers for score in by_model.values())
        cells = [str(by_model[model]) if model in by_model else "—" for model in models]
        rows.append([tasks, rule, f"{count:,}", *cells])
    return rows
