"""The data section of the recipe."""

from dataclasses import dataclass, field
from typing import Union


@dataclass(frozen=True)
class SourceConfig:
    """One raw corpus."""

    reader: str
    """name of the reader: jsonl, json, txt (a file is a document), txt_blank (documents between \
blank lines), or one of the demo's"""
    path: str
    """file or glob pattern"""
    field: Union[str, list[str]] = "text"
    """key of the text in a JSON record; several are joined by a line break"""


@dataclass(frozen=True)
class DataConfig:
    """What is tokenised, and where the token files stand."""

    dir: str = "data"
    """folder of pretrain_data.bin, val_data.bin and their manifests"""
    sources: list[SourceConfig] = field(default_factory=list)
    """the raw corpora, in order"""
    val_fraction: float = 0.005
    """share of documents held out, chosen by a hash of their text"""

    def __post_init__(self):
        """Reject an impossible split.

        Raises:
            ValueError: names the field.
        """
        if not 0 < self.val_fraction < 1:
            raise ValueError(
                f"data.val_fraction is {self.val_fraction}; it must lie between 0 and 1"
            )
