"""duplicates.jsonl: a line for each removed document, to read and to search."""

import itertools
import json
from pathlib import Path

from common.files import atomic_open
from corpus.dedup.documents import Documents
from corpus.dedup.outcomes import Outcomes

REPORT_NAME = "duplicates.jsonl"
HEAD_CHARS = 40


def write_report(path: Path, documents: Documents, outcomes: Outcomes) -> None:
    """Write which document lost to which, and how both begin."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with atomic_open(path, "w") as file:
        for document, kept, similarity in itertools.chain.from_iterable(outcomes.removals()):
            line = {
                "removed": _describe(documents, int(document)),
                "kept": _describe(documents, int(kept)),
                "similarity": round(float(similarity), 4),
            }
            file.write(encode(line) + "\n")


def _describe(documents: Documents, number: int) -> dict[str, str | int]:
    shard, index = documents.place(number)
    return {
        "shard": documents.shards[shard].texts.name,
        "index": index,
        "begins": documents.text(number, 4 * HEAD_CHARS)[:HEAD_CHARS],
    }
