"""Guards against one poem for all titles: rewards over a batch, and measures over a set.

A model that is rewarded for rhyme alone finds a character that is level and rhymes, and ends every
poem with it. Such a poem is right by itself; only beside the others it is seen to be bought.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rewards.answer import Answer
from rewards.poem.request import Request, request_of
from rewards.registry import batch_reward, measure

RHYME_LIMIT, WORD_LIMIT = 0.25, 0.5
"""Share of the answers to other titles that use a rhyme character, and share of a poem's pairs of
characters that they use, at which nothing is left of the reward."""


@batch_reward("poem_rhyme_variety")
def rhyme_variety(answers: Sequence[Answer]) -> list[float]:
    """Less where the rhyme characters of a poem end lines of poems on other titles of the batch.

    Mean over the poem's rhyme characters c of max(0, 1 - p_c / 0.25), where p_c is the share of
    the answers to other titles that rhyme on c too.
    """
    return _against_others(
        answers,
        lambda poem: set(poem.rhymes),
        lambda shares: _mean(max(0.0, 1 - share / RHYME_LIMIT) for share in shares),
    )


@batch_reward("poem_word_variety")
def word_variety(answers: Sequence[Answer]) -> list[float]:
    """Less where pairs of characters of a poem stand in poems on other titles of the batch.

    1 - s / 0.5, at least 0, where s is the share of its pairs that another title's poem holds.
    """
    return _against_others(
        answers,
        lambda poem: set(pairs_of(poem)),
        lambda shares: max(0.0, 1 - _mean(share > 0 for share in shares) / WORD_LIMIT),
    )


@measure("poem_distinct_2")
def distinct_2(answers: Sequence[Answer]) -> float:
    """Different pairs of neighbouring characters over all pairs, of all answers together."""
    counts = Counter(pair for poem in _poems(answers) for pair in pairs_of(poem))
    return len(counts) / counts.total() if counts else 0.0


@measure("poem_rhyme_entropy")
def rhyme_entropy(answers: Sequence[Answer]) -> float:
    """Entropy in bits of the characters that the answers rhyme on."""
    counts = Counter(c for poem in _poems(answers) for c in poem.rhymes)
    return -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values())


@measure("poem_top_rhyme")
def top_rhyme(answers: Sequence[Answer]) -> float:
    """Share of the poems that use the rhyme character that most of them use."""
    poems = [set(poem.rhymes) for poem in _poems(answers)]
    counts = Counter(c for rhymes in poems for c in rhymes)
    return counts.most_common(1)[0][1] / len(poems) if counts else 0.0


def pairs_of(poem: Request) -> Iterable[str]:
    """Pairs of neighbouring characters within the lines."""
    return (line[i : i + 2] for line in poem.lines for i in range(len(line) - 1))


def _poems(answers: Sequence[Answer]) -> list[Request]:
    found = map(request_of, answers)
    return [poem for poem in found if poem and poem.lines]


def _against_others(
    answers: Sequence[Answer],
    traits: Callable[[Request], set[str]],
    value: Callable[[list[float]], float],
) -> list[float]:
    """The value of the shares, for each trait of a poem, of poems on other titles that have it."""
    poems = [request_of(answer) for answer in answers]
    found = [traits(poem) if poem and poem.lines else set() for poem in poems]
    titles = [poem.title if poem else None for poem in poems]
    everywhere, n_of = Counter(), Counter(titles)
    of_title: dict[str | None, Counter] = {title: Counter() for title in n_of}
    for title, mine in zip(titles, found):
        everywhere.update(mine)
        of_title[title].update(mine)
    values = []
    for title, mine in zip(titles, found):
        others = len(answers) - n_of[title]
        shares = [(everywhere[t] - of_title[title][t]) / max(1, others) for t in sorted(mine)]
        values.append(value(shares) if shares else 0.0)
    return values


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
