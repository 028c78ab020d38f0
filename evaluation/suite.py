"""The continuation suite: prompts that the field uses, and what its samples repeat and copy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpus.token_file import TokenFile
from evaluation.memorised import longest_shared_spans
from generation.writer import Continuation
from tokenizer.tokenizer import Tokenizer

PROMPTS = (
    "床前明月光，疑是地上霜。举头望明月，",
    "《小王子》是一本畅销童话书，它讲述了：",
    "请你讲一个童话故事：",
    "北京大学是一所",
    "三十年河东，三十年河西，",
    "人生如棋，",
)


@dataclass(frozen=True)
class Sample:
    """One continuation, and how much of it is said twice or copied."""

    prompt: str
    text: str
    distinct_1: float
    """different characters over characters (arXiv:1510.03055)"""
    distinct_2: float
    """different pairs of neighbours over pairs"""
    repeated: str
    """longest span of characters that stands in it twice"""
    copied: str
    """longest span of ids that the training file holds too"""
    copied_tokens: int


def judge(
    continuations: Sequence[Continuation], tokenizer: Tokenizer, file: TokenFile
) -> list[Sample]:
    """Measure continuations; `file` is what the model was trained on."""
    ids = [new_ids(c, tokenizer) for c in continuations]
    spans = longest_shared_spans(ids, file)
    return [
        Sample(
            prompt=continuation.prompt,
            text=continuation.text,
            distinct_1=distinct(continuation.text, 1),
            distinct_2=distinct(continuation.text, 2),
            repeated=longest_repeat(continuation.text),
            copied=tokenizer.decode(text_ids[span.begin : span.end]),
            copied_tokens=len(span),
        )
        for continuation, text_ids, span in zip(continuations, ids, spans)
    ]


def new_ids(continuation: Continuation, tokenizer: Tokenizer) -> list[int]:
    """Ids of the new text, cut as the tokenizer cuts it where it follows the prompt."""
    before = tokenizer.encode(continuation.prompt)
    return tokenizer.encode(continuation.prompt + continuation.text)[len(before) :]


def distinct(text: str, n: int) -> float:
    """Share of the n-grams of characters that are different, white space left out; 1 if none."""
    characters = "".join(text.split())
    grams = [characters[i : i + n] for i in range(len(characters) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def longest_repeat(text: str) -> str:
    """The longest span that occurs twice, from a sorted list of suffixes; it may overlap itself."""
    suffixes = sorted(text[i:] for i in range(len(text)))
    return max(map(_common, suffixes, suffixes[1:]), key=len, default="")


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def _common(a: str, b: str) -> str:
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return a[:n]
