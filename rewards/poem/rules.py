"""Rewards of a poem by itself. What is no poem in the form that was asked gets nothing but `form`.

Each is dense: a poem that keeps more of the rules gets more.
"""

from corpus.verse.prosody import scan
from corpus.verse.table import character_table
from rewards.answer import Answer
from rewards.poem.request import TITLE_WORDS, Request, request_of
from rewards.registry import reward

CHARS_A_REPEAT = 14
"""One character in so many may stand in the poem already; of the poets' own quatrains of seven
characters a line 93 % repeat no more."""


@reward("poem_form")
def form(answer: Answer) -> float:
    """Share of the lines with the right length, less a half where there are too many or few."""
    asked = request_of(answer)
    if asked is None:
        return 0.0
    wanted, lines = asked.form, asked.lines
    right = sum(len(line) == wanted.line_chars for line in lines[: wanted.n_lines])
    share = right / wanted.n_lines * (1.0 if len(lines) == wanted.n_lines else 0.5)
    return share if asked.fits or share < 1 else 0.5  # right in length, but not all characters


@reward("poem_tones")
def tones(answer: Answer) -> float:
    """Share of the rules of tones that are kept; see `corpus.verse.prosody.tone_rules`."""
    asked = _whole(answer)
    if asked is None:
        return 0.0
    found = scan(asked.lines, asked.form, character_table())
    return found.tones_kept / found.tone_rules


@reward("poem_rhyme")
def rhyme(answer: Answer) -> float:
    """Share of the rhyming lines that rhyme with the first of them, each on a new character."""
    asked = _whole(answer)
    if asked is None:
        return 0.0
    found = scan(asked.lines, asked.form, character_table())
    return found.rhymes_kept / found.rhyme_rules


@reward("poem_rules")
def rules(answer: Answer) -> float:
    """1 where form, tones and rhyme are all kept to the last rule."""
    return float(form(answer) == tones(answer) == rhyme(answer) == 1.0)


@reward("poem_repetition")
def repetition(answer: Answer) -> float:
    """1 where hardly a character stands in the poem twice, down to 0 where many do."""
    asked = _whole(answer)
    if asked is None:
        return 0.0
    repeated = len(asked.text) - len(set(asked.text))
    allowed = max(1, round(len(asked.text) / CHARS_A_REPEAT))
    return max(0.0, 1 - max(0, repeated - allowed) / (2 * allowed))


@reward("poem_title")
def title(answer: Answer) -> float:
    """1 where a character of the title stands in the poem, or the title has none that could."""
    asked = _whole(answer)
    if asked is None:
        return 0.0
    wanted = set(asked.title) - TITLE_WORDS
    return float(not wanted or bool(wanted & set(asked.text)))


def _whole(answer: Answer) -> Request | None:
    asked = request_of(answer)
    return asked if asked and asked.fits else None
