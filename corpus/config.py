"""The data section of the recipe."""

import os
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from common.ranges import check_range

RANGES = {
    "augment_passages": "[1, 100]",
    "val_fraction": "(0, 1)",
    "dedup_threshold": "(0, 1]",
    "augment_delete": "[0, 1)",
    "augment_repeat": "[0, 1)",
    "workers": "[1, 1024]",
    "shard_tokens": "[0, inf)",
    "seed": "[0, inf)",
}
"""interval of each number of the section"""


@dataclass(frozen=True)
class SourceConfig:
    """One raw corpus."""

    reader: str
    """name of the reader, such as jsonl, json, parquet, csv or txt; docs/corpora.md lists all"""
    path: str
    """file or glob pattern, ** for folders of any depth; .gz, .bz2, .xz and .zst files are \
unpacked as they are read; hf://datasets/OWNER/NAME/**.parquet (or modelscope://OWNER/NAME/...) is \
fetched once"""
    field: str | list[str] = "text"
    """key of the text in a record, for the readers that know no corpus by name; several are \
joined by a line break; for examples the keys of prompt and answer, docs/chat.md says which"""
    weight: float = 1.0
    """times that each document is written to the training file, on average; 0.5: every other one"""
    encoding: str = "utf-8"
    """encoding of text files, for example gb18030"""

    def __post_init__(self):
        """Expand `~`; reject a weight that writes nothing, and an unknown encoding.

        Raises:
            ValueError: names the field.
        """
        object.__setattr__(self, "path", os.path.expanduser(self.path))
        check_range("data.sources: weight", self.weight, "(0, 1000000]")
        try:
            "\n".encode(self.encoding)
        except LookupError as error:
            raise ValueError(
                f"data.sources: encoding {self.encoding!r} is not known to Python; "
                "use for example utf-8, gb18030 or utf-16"
            ) from error


@dataclass(frozen=True)
class FilterConfig:
    """Documents that a trained model finds worst are left out of the training file."""

    run: str
    """run directory whose model scores the documents, such as out/demo"""
    kind: Literal["perplexity", "reward"] = "perplexity"
    """perplexity: a document is the better the more probable the run finds its text; reward: the \
better the run, a reward model, finds it as an answer"""
    prompt: str = "写一段文字。"
    """reward: what a document is the answer to; that of the pairs that the run was trained on"""
    keep: float = 0.8
    """share of the documents that stays"""
    per_source: bool = True
    """true: this share of each source; false: of all together, where a source may lose most"""

    def __post_init__(self):
        """Expand `~`; reject values out of range.

        Raises:
            ValueError: names the field.
        """
        object.__setattr__(self, "run", os.path.expanduser(self.run))
        if not self.run:
            raise ValueError("data.filter.run is empty; it must name a run, such as out/demo")
        if not self.prompt.strip():
            raise ValueError("data.filter.prompt is empty; a reward model judges answers to one")
        check_range("data.filter.keep", self.keep, "(0, 1]")


@dataclass(frozen=True)
class DataConfig:
    """What is tokenised, and where the token files stand."""

    dir: str = "data"
    """folder of pretrain_data.bin, val_data.bin and their manifests"""
    sources: list[SourceConfig] = field(default_factory=list)
    """the raw corpora, in order"""
    kind: Literal["text", "sft", "pairs", "task"] = "text"
    """text: token files; or example files of dialogues (sft), of prompts with a chosen and a \
rejected answer (pairs), of prompts whose answer is checked (task)"""
    template: Literal["auto", "roles", "human_assistant", "question_answer"] = "auto"
    """how dialogues are written; auto: as the base run does, else by the role pieces of the \
vocabulary, else human_assistant; question_answer takes few ids in Chinese"""
    cleaning: list[dict[str, Any]] = field(default_factory=list)
    """rules that each document passes, in order, such as {rule: length, min: 10}; \
docs/cleaning.md lists all"""
    augment_delete: float = 0.0
    """sft: share of the ids of instructions that are left out; each epoch leaves out others"""
    augment_repeat: float = 0.0
    """sft: share of the ids of instructions that are repeated"""
    augment_documents: str = ""
    """folder of .txt and .md files; the passages that fit a question best are put before it, as \
serve.py --documents does; empty: none"""
    augment_passages: int = 2
    """passages for a question"""
    dedup: Literal["none", "exact", "near"] = "exact"
    """documents removed because an earlier one is equal up to spacing, case and width (exact), or \
shares most of its text (near)"""
    dedup_threshold: float = 0.6
    """near: least Jaccard similarity of the sets of 5-character pieces"""
    filter: FilterConfig | None = None
    """text: quality filter such as {kind: perplexity, run: out/demo, keep: 0.8}; null: none"""
    val_fraction: float = 0.005
    """share of documents held out, chosen by a hash of their text; of examples, by a hash of the \
prompt"""
    shard_tokens: int = 0
    """tokens in one file of the training split; 0: all in one file"""
    workers: int = 2
    """processes that clean and tokenise; the outcome does not depend on it"""
    executor: Literal["process", "ray"] = "process"
    """where they run: processes of this machine, or tasks of a Ray cluster"""
    seed: int = 1337
    """seed of the order of the documents, and of the choice that a fractional weight makes"""
    part: str = "0/1"
    """share of the work that this command does, such as 3/16 (of the parts 0/16 to 15/16), where \
a cluster starts it many times; docs/data_at_scale.md shows how"""

    def __post_init__(self):
        """Expand `~`; reject values out of range.

        Raises:
            ValueError: names the field.
        """
        object.__setattr__(self, "dir", os.path.expanduser(self.dir))
        if not self.dir:
            raise ValueError("data.dir is empty; it must name a folder, such as data")
        for name, interval in RANGES.items():
            check_range(f"data.{name}", getattr(self, name), interval)
        if self.filter and self.kind != "text":
            raise ValueError(
                f"data.filter is for text to pretrain on; data.kind is {self.kind}: set it to null"
            )
        if self.augment_documents and self.kind == "text":
            raise ValueError("data.augment_documents is for dialogues; data.kind is text")
        part = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", self.part)
        if not part or int(part[1]) >= int(part[2]):
            raise ValueError(
                f"data.part is {self.part}; it must be like 3/16, the first number below the second"
            )
