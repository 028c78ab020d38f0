"""Derive the table of tones and rhymes from the poems: python -m corpus.verse.derive [FOLDER].

FOLDER, data/raw unless given, holds the package's archive, or it is fetched there. The table is
committed, so this runs only to check it or to change how it is made.

Tone: the package gives the tonal pattern of each poem; a character is level or oblique where nine
in ten of its places are. Rhyme: characters that end the rhyming lines of one poem are linked, and
the groups of the links are the rhymes as the poets used them; nobody's rhyme book is needed. Only
poems outside the held-out split count, so that held-out poems can be measured with the table.
"""

import logging
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from common.errors import UserError, run_main
from common.files import atomic_open
from corpus.poem_corpus import PACKAGE, POEMS, archived, fetch_archive
from corpus.poem_readers import Poem, parse_record, simplified
from corpus.verse.clusters import louvain
from corpus.verse.table import BOTH, LEVEL, OBLIQUE, TABLE_PATH, CharacterTable

STRAINS = re.compile(r"package/dist/strains/json/poet\.(tang|song)\.\d+\.json")
HELD_OUT = 0.02
"""data.val_fraction of configs/poet-base.yaml."""
CLEAR_SHARE = 0.9
MIN_RHYMES = 3
"""Poems in which a character must rhyme to be put into a group."""
RESOLUTION = 2.0
"""At 2 the level groups are those of the Song rhyme book 平水韵 with a few neighbours joined."""
log = logging.getLogger(__name__)


def main() -> int:
    """Write the table into the source tree."""
    folders = sys.argv[1:] or ["data/raw"]
    if len(folders) > 1 or folders[0].startswith("-"):
        raise UserError("python -m corpus.verse.derive takes one folder")
    archive = fetch_archive(Path(folders[0]))
    patterns = {record["id"]: record["strains"] for record in archived(archive, STRAINS)}
    votes, poems = defaultdict(Counter), []
    for record in archived(archive, POEMS):
        poem = parse_record(record)
        if isinstance(poem, Poem) and poem.is_held_out(HELD_OUT):
            continue
        count_tones(record["paragraphs"], patterns.get(record["id"]), votes)
        if isinstance(poem, Poem):
            poems.append(poem.lines)
    table = CharacterTable(tones_of(votes), rhymes_of(poems))
    with atomic_open(TABLE_PATH, "w") as file:
        file.write(table.to_text(PACKAGE))
    print(f"{TABLE_PATH}: {len(table.tones):,} tones, {len(table.rhymes):,} rhyming characters")
    return 0


def count_tones(
    paragraphs: Sequence[str], pattern: Sequence[str] | None, votes: dict[str, Counter]
) -> None:
    """Add the places of a poem whose tonal pattern fits its text to the votes of its characters."""
    if not pattern or len(pattern) != len(paragraphs):
        return
    for text, tones in zip(simplified("\n".join(paragraphs)).split("\n"), pattern):
        if len(text) == len(tones):
            for character, tone in zip(text, tones):
                if tone in (LEVEL, OBLIQUE):
                    votes[character][tone] += 1


def tones_of(votes: dict[str, Counter]) -> dict[str, str]:
    """The tone of each character, the most frequent first: level, oblique, or both."""
    tones = {}
    for character, counts in sorted(votes.items(), key=lambda item: (-item[1].total(), item[0])):
        tone, count = counts.most_common(1)[0]
        tones[character] = tone if count >= CLEAR_SHARE * counts.total() else BOTH
    return tones


def rhymes_of(poems: Iterable[Sequence[str]]) -> dict[str, int]:
    """The group of each character that rhymes often enough, the largest group first."""
    rhyming = [sorted({line[-1] for line in lines[1::2]}) for lines in poems]
    counts = Counter(character for found in rhyming for character in found)
    characters = [c for c, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    characters = [c for c in characters if counts[c] >= MIN_RHYMES]
    places = {character: place for place, character in enumerate(characters)}
    links = np.zeros((len(characters), len(characters)))
    for found in rhyming:
        for first, second in combinations([places[c] for c in found if c in places], 2):
            links[first, second] += 1
            links[second, first] += 1
    groups = louvain(links, RESOLUTION)
    sizes = Counter(groups.tolist())
    linked = links.any(1)
    order = {group: rank for rank, (group, _) in enumerate(sizes.most_common())}
    return {c: order[groups[place]] for c, place in places.items() if linked[place]}


if __name__ == "__main__":
    run_main(main)
