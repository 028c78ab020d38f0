"""The rules of regulated verse, 格律, and how far a poem keeps them.

What is asked is what the poets themselves mostly keep; stricter rules of the handbooks, such as
those against a single level tone (孤平) or three in a row at the end (三平尾), are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpus.verse.forms import Form
from corpus.verse.table import LEVEL, OBLIQUE, CharacterTable


@dataclass(frozen=True)
class Prosody:
    """How many of the rules a poem in a regular form keeps."""

    tone_rules: int
    tones_kept: int
    rhyme_rules: int
    rhymes_kept: int

    @property
    def tones(self) -> bool:
        """Whether all rules of the tones are kept."""
        return self.tones_kept == self.tone_rules

    @property
    def rhyme(self) -> bool:
        """Whether all even lines rhyme, on different characters."""
        return self.rhymes_kept == self.rhyme_rules


def scan(lines: Sequence[str], form: Form, table: CharacterTable) -> Prosody:
    """Examine the lines of a poem that fits `form`.

    A character read in both tones, or not known, keeps every rule of tones; one whose rhyme is not
    known breaks the rule of rhyme.
    """
    tones = list(tone_rules(lines, form, table))
    rhymes = list(rhyme_rules(lines, table))
    return Prosody(len(tones), sum(tones), len(rhymes), sum(rhymes))


def tone_rules(lines: Sequence[str], form: Form, table: CharacterTable) -> Iterator[bool]:
    """Whether each of the rules of tones is kept.

    - 二四六分明: within a line, the second and the fourth character differ in tone, and so do the
      fourth and the sixth.
    - 对: the second characters of the two lines of a couplet differ.
    - 粘: the second characters of a couplet's last and the next couplet's first line agree.
    - Even lines, which rhyme, end level; odd ones but the first end oblique.
    """

    def differ(one: str, other: str) -> bool:
        levels = table.may_be(one, LEVEL) and table.may_be(other, OBLIQUE)
        return levels or (table.may_be(one, OBLIQUE) and table.may_be(other, LEVEL))

    def agree(one: str, other: str) -> bool:
        return any(table.may_be(one, t) and table.may_be(other, t) for t in (LEVEL, OBLIQUE))

    for line in lines:
        for place in range(1, form.line_chars - 2, 2):
            yield differ(line[place], line[place + 2])
    for number, (line, following) in enumerate(zip(lines, lines[1:])):
        compare = agree if number % 2 else differ
        yield compare(line[1], following[1])
    for number, line in enumerate(lines):
        if number:
            yield table.may_be(line[-1], LEVEL if number % 2 else OBLIQUE)


def rhyme_rules(lines: Sequence[str], table: CharacterTable) -> Iterator[bool]:
    """Whether each rhyming line after the first rhymes with it, on a character not used before."""
    rhyming = [line[-1] for line in lines[1::2]]
    group = table.rhyme(rhyming[0])
    for number, character in enumerate(rhyming[1:], 1):
        rhymes = group is not None and table.rhyme(character) == group
        yield rhymes and character not in rhyming[:number]
