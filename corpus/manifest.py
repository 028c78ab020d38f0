"""The manifest beside a token file: what is in it and how it came about."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import read_json, write_json

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)  # 2 adds fields that may be absent
SPLIT_RULE = "held out where blake2b-64(text) / 2^64 < {}"
CUT_RULE = "; of a document of more than a tenth of the corpus, its end"


@dataclass
class SourceCounts:
    """What one source gave to one token file; a document of weight 2 counts twice.

    The training file's also describe the whole source, both splits together: `skipped` and what
    follows it.
    """

    name: str
    documents: int = 0
    characters: int = 0
    text_bytes: int = 0
    """bytes of the documents in UTF-8"""
    tokens: int = 0
    """ids, the end-of-text id of each document included"""
    unknown: int = 0
    """ids that stand for something outside the vocabulary"""
    skipped: int = 0
    """records that could not be read"""
    damaged: int = 0
    """files that could not be read, or not to their end"""
    read: int = 0
    """documents read; 0: not known"""
    cleaned: int = 0
    """documents that passed the cleaning rules"""
    unique: int = 0
    """documents left after deduplication"""
    filtered: int = 0
    """documents of these that data.filter dropped"""

    def __add__(self, other: "SourceCounts") -> "SourceCounts":
        """Add the counts, under the name of the first."""
        pairs = zip(dataclasses.astuple(self)[1:], dataclasses.astuple(other)[1:])
        return SourceCounts(self.name, *(a + b for a, b in pairs))


@dataclass(frozen=True)
class FilePart:
    """One of the files that a split is spread over, in order."""

    name: str
    tokens: int
    sha256: str


@dataclass
class Manifest:
    """Contents of `<name>.json` beside `<name>.bin`, or beside `<name>-00000.bin` and so on."""

    dtype: str
    """uint16 or uint32, little-endian"""
    tokens: int
    documents: int
    text_bytes: int
    characters: int
    sha256: str
    """of the ids, as they stand in the .bin file or in its parts, one after another"""
    split: str
    """rule that parts training from validation"""
    inputs: str
    """hash of recipe, raw files and tokenizer; the two files of one run carry the same"""
    tokenizer: dict[str, Any]
    """kind, fingerprint, vocab_size, eos_id"""
    sources: list[SourceCounts] = field(default_factory=list)
    parts: list[FilePart] = field(default_factory=list)
    """empty: all ids are in `<name>.bin`"""
    commits: dict[str, str] = field(default_factory=dict)
    """of the sources that were fetched from a hub, by path"""
    scored_by: dict[str, Any] | None = None
    """run, step and fingerprint of the model that data.filter scored documents with; None: none"""
    format_version: int = FORMAT_VERSION

    def save(self, token_path: str | Path) -> None:
        """Write the manifest that belongs to the token file `token_path`."""
        write_json(manifest_path(token_path), dataclasses.asdict(self))

    @classmethod
    def load(cls, token_path: str | Path) -> "Manifest":
        """Read the manifest that belongs to the token file `token_path`.

        Raises:
            UserError: it is missing, damaged or of another version.
        """
        path = manifest_path(token_path)
        values = read_json(path)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version not in READABLE_VERSIONS:
            raise UserError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}; "
                "run python data_process.py again"
            )
        try:
            sources = [SourceCounts(**source) for source in values.pop("sources")]
            parts = [FilePart(**part) for part in values.pop("parts", [])]
            return cls(sources=sources, parts=parts, **values)
        except (TypeError, KeyError) as error:
            raise UserError(
                f"{path} is damaged ({error}); run python data_process.py again"
            ) from error


def manifest_path(token_path: str | Path) -> Path:
    """data/pretrain_data.bin -> data/pretrain_data.json"""
    return Path(token_path).with_suffix(".json")
