"""How well runs write poems, each a stage of one training, and the poets beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.intervals import wilson
from corpus.poem_readers import heading
from corpus.poem_tasks import WRITE
from evaluation.answers import answer_tasks
from evaluation.document import Document
from evaluation.perplexity import format_bits, measure
from evaluation.scoring import Scorer
from rewards.answer import Answer
from rewards.poem.copies import Copies
from rewards.poem.request import request_of
from rewards.registry import MEASURES, PASSED, find_reward
from rewards.score import COPY_CHARS
from runs.run import Run

TITLES = ("春日", "秋夜", "送友人", "山居", "江上", "咏梅", "登楼", "月夜")
"""Of the poems that are shown: the first that the run writes, none is chosen."""
RULES = ("form", "tones", "rhyme", "rules")
HEAD = (
    *("after", "steps", "bits a byte", "form", "tones", "rhyme", "all three"),
    *("copied", "distinct-2", "most frequent rhyme"),
)
LEGEND = (
    "Bits a byte: of held-out poems. Form, tones, rhyme: share of the poems that keep a rule to "
    "the last, and its 95 % interval (Wilson). Copied: a run of {length} characters stands in a "
    "training poem. Distinct-2: different pairs of neighbouring characters over all pairs. Most "
    "frequent rhyme: share of the poems that rhyme on the character which most of them rhyme on. "
    "The last two of the first {n:,} poems."
)


@dataclass(frozen=True)
class Stage:
    """What one writer of poems reached."""

    name: str
    steps: str
    bits: str
    """a byte of held-out poems, with the standard error"""
    answers: list[Answer]

    def row(self, copies: Copies, n: int) -> list[str]:
        """Its cells below `HEAD`; what depends on the number of poems is counted over n."""
        scores = [find_reward(f"poem_{name}").score_all(self.answers) for name in RULES]
        passed = [sum(value >= PASSED for value in values) for values in scores]
        copied = sum(copies.has(poem.text) for poem in map(request_of, self.answers) if poem)
        return [
            self.name,
            self.steps,
            self.bits,
            *(_rate(count, len(self.answers)) for count in (*passed, copied)),
            f"{MEASURES['poem_distinct_2'](self.answers[:n]):.3f}",
            f"{MEASURES['poem_top_rhyme'](self.answers[:n]):.1%}",
        ]


def measure_stage(run: Run, first: Run, keys: Sequence[dict]) -> Stage:
    """Let a run write on the titles of task keys, and read the poems that `first` held out.

    They are read in windows of the context of `first`, so that all runs read the same ones.

    Raises:
        UserError: the run has no checkpoint, or the text that `first` held out is missing.
    """
    config, tokenizer, context = run.recipe.eval, run.tokenizer(), first.recipe.model.max_seq_len
    scorer = Scorer(_with_context(run, context).load_model(), tokenizer.eos_id, config.batch)
    loss, _ = measure(scorer, tokenizer, first.recipe.data.dir, context)
    steps = f"{run.chosen_checkpoint.step:,}"
    return Stage(run.recipe.name, steps, format_bits(loss), answer_tasks(run, keys))


def title_keys(form: str) -> list[dict]:
    """Task keys of the fixed titles."""
    return [
        {
            "prompt": [{"role": "user", "content": WRITE.format(form, title)}],
            "form": form,
            "title": title,
            "plain": heading(form, title),
        }
        for title in TITLES
    ]


def describe_stages(
    name: str, stages: Sequence[Stage], copies: Copies, n: int, poems: Sequence[Answer]
) -> Document:
    """The report: a row for each stage, then poems on the fixed titles, verbatim."""
    document = Document(f"{name}: how many poems keep the rules")
    document.table(HEAD, [stage.row(copies, n) for stage in stages])
    document.paragraph(LEGEND.format(length=COPY_CHARS, n=n))
    document.heading("Poems on fixed titles, each the first that was written")
    for poem in poems:
        document.paragraph(f"**{poem.key['title']}**")
        document.verbatim(poem.completion)
    return document


def _with_context(run: Run, context: int) -> Run:
    """The run with another context length; its weights do not depend on it."""
    model = replace(run.recipe.model, max_seq_len=context)
    train = replace(run.recipe.train, micro_batch=1, tokens_per_step=context)
    return Run(run.path, replace(run.recipe, model=model, train=train))


def _rate(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count / total:.1%} ({100 * low:.1f} to {100 * high:.1f})"
