"""Rewards of what is asked of idioms: to follow one in 成语接龙, to explain one, to guess one."""

import re
from collections import Counter
from collections.abc import Iterable

from rewards.answer import Answer
from rewards.registry import reward

IDIOM_CHARS = 4
ASKED = re.compile(r"([\u4e00-\u9fff])\s*$")


@reward("idiom_chain_first")
def chain_first(answer: Answer) -> float:
    """1 where the answer begins with the last character of the word that was asked."""
    return float(answer.completion.strip()[:1] == first_character(answer))


@reward("idiom_chain")
def chain(answer: Answer) -> float:
    """How far the answer is a real idiom that follows, from 0 to 1.

    The longest beginning that it shares with one of the key's `answers`, in four characters, less
    a half where it goes on after the idiom or was not ended. Such a dense reward has a gradient
    where hardly any answer is wholly right.
    """
    said = answer.completion.strip()
    words = _answers(answer)
    shared = max((_shared(said, word) for word in words), default=0)
    if said[:1] == first_character(answer):
        shared = max(shared, 1)
    clean = answer.ended and len(said) == IDIOM_CHARS
    return shared / IDIOM_CHARS * (1.0 if clean else 0.5)


@reward("idiom_chain_real")
def chain_real(answer: Answer) -> float:
    """1 where the answer is one of the idioms that follow, and nothing else."""
    return _right(answer)


@reward("idiom_explain_overlap")
def explain_overlap(answer: Answer) -> float:
    """F1 of the characters that the answer shares with the word's explanation."""
    return max((character_f1(answer.completion, text) for text in _answers(answer)), default=0.0)


@reward("idiom_explain_nearer")
def explain_nearer(answer: Answer) -> float:
    """1 where the answer is nearer to the word's explanation than to the key's `other`.

    That is another word's explanation of as many characters, so by chance it is 1 in at most half
    of the cases.
    """
    other = character_f1(answer.completion, answer.key.get("other") or "")
    return float(explain_overlap(answer) > other)


@reward("idiom_explain_right")
def explain_right(answer: Answer) -> float:
    """1 where the answer is the word's explanation to the character, and nothing else."""
    return _right(answer)


@reward("idiom_guess_right")
def guess_right(answer: Answer) -> float:
    """1 where the answer is the word that was meant, and nothing else."""
    return _right(answer)


def character_f1(one: str, other: str) -> float:
    """Harmonic mean of the shares of each text's characters that the other has, from 0 to 1."""
    one, other = one.strip(), other.strip()
    shared = (Counter(one) & Counter(other)).total()
    return 2 * shared / max(1, len(one) + len(other))


def first_character(answer: Answer) -> str:
    """The character that an answer must begin with: the key's `first`, or the prompt's last."""
    if first := answer.key.get("first"):
        return first
    found = ASKED.search(answer.prompt)
    return found[1] if found else ""


def _right(answer: Answer) -> float:
    return float(answer.ended and answer.completion.strip() in _answers(answer))


def _answers(answer: Answer) -> list[str]:
    """Right answers, as the key lists them."""
    return answer.key.get("answers") or []


def _shared(one: Iterable[str], other: Iterable[str]) -> int:
    count = 0
    for first, second in zip(one, other):
        if first != second:
            break
        count += 1
    return count
