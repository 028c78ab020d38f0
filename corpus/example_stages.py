"""What the stages do to one shard of examples: functions of files that write files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chat.template import CONTENT, TEXT, ChatTemplate
from corpus.cleaning.cleaner import Cleaner
from corpus.dedup.signatures import sign_shard
from corpus.example import Example
from corpus.passages import PassageIndex
from corpus.ragged import Ragged, write_ragged, write_texts
from corpus.shuffle import copies, shard_path
from corpus.split import is_held_out
from corpus.stages import COUNTED, SPLITS, kept_positions

BYTES = np.dtype(np.uint8)


def clean_examples(
    examples: Path, output: Path, rules: list[dict[str, Any]], dedup: str
) -> dict[str, Any]:
    """Pass each text of each example through the rules; one that drops a text drops the example.

    Writes the examples as `<output>-examples`, and what they say as the text shard `output`, by
    which repeated ones are found.
    """
    shard, cleaner = Ragged(examples, BYTES), Cleaner(rules)
    kept, texts = [], []
    for index in range(len(shard)):
        if example := Example.from_text(shard.text(index)).map(cleaner.clean):
            kept.append(example.to_text())
            texts.append(example.text)
    write_texts(f"{output}-examples", kept)
    write_texts(output, texts)
    if dedup != "none":
        sign_shard(output, output, near=dedup == "near")
    return {
        "documents": len(kept),
        "text_bytes": sum(len(text.encode("utf-8")) for text in texts),
        "report": cleaner.report.to_json(),
    }


@dataclass(frozen=True)
class Rendering:
    """What turning examples into ids needs to know beside the shard."""

    template: ChatTemplate
    kind: str
    """sft, pairs or task"""
    val_fraction: float
    weight: float
    seed: int
    documents: str = ""
    """folder in which passages are looked up for each question; empty: none"""
    passages: int = 0
    """how many"""

    @property
    def dtype(self) -> np.dtype:
        """The least type of integer that holds every id."""
        return np.dtype("<u2" if self.template.tokenizer.vocab_size <= 1 << 16 else "<u4")


def render_examples(
    source: Path, first: int, removed: Path | None, output: tuple[Path, int], options: Rendering
) -> dict[str, Any]:
    """Write the sequences of a shard of examples, in their order, by split.

    Of each split: `<shard>` with the ids of the sequences, `-kinds` with the kind of each id,
    `-keys` with the answer keys of tasks. `first` is the number of the shard's first example,
    `removed` the folder of the removals; `output` is a folder and the number of the shard.
    """
    shard = Ragged(f"{source}-examples", BYTES)
    kept = kept_positions(removed, first, len(shard))
    repeats = copies(kept + first, options.weight, options.seed).tolist()
    rendered = {split: _Rendered(options) for split in SPLITS}
    unweighted = np.zeros(len(COUNTED), np.int64)
    for index, times in zip(kept.tolist(), repeats):
        example = Example.from_text(shard.text(index))
        held_out = example.held_out
        if held_out is None:
            held_out = is_held_out(example.prompt.encode(), options.val_fraction)
        counts = rendered["val" if held_out else "train"].add(example, 1 if held_out else times)
        unweighted += 0 if held_out else counts
    results = {split: found.write(*output, split) for split, found in rendered.items()}
    return results | {"unweighted": dict(zip(COUNTED, unweighted.tolist()))}


class _Rendered:
    """The sequences of one split of a shard."""

    def __init__(self, options: Rendering):
        self.options = options
        self.ids: list[np.ndarray] = []
        self.kinds: list[np.ndarray] = []
        self.keys: list[str] = []
        self.counts = np.zeros(len(COUNTED), np.int64)
        self.index = PassageIndex.open(options.documents) if options.documents else None

    def add(self, example: Example, times: int) -> np.ndarray:
        """Add an example, repeated as its weight wants; returns what is counted of it once."""
        sequences = [self._encode(dialogue) for dialogue in example.dialogues()]
        tokens = sum(len(ids) for ids, _ in sequences)
        unknown = sum((ids == self._tokenizer.unk_id).sum() for ids, _ in sequences)
        text = example.text
        counts = np.array([1, len(text), len(text.encode("utf-8")), tokens, unknown], np.int64)
        self.counts += times * counts
        for ids, kinds in times * sequences:
            self.ids.append(ids)
            self.kinds.append(kinds)
        if self.options.kind == "task":
            messages = [message.to_json() for message in example.messages]
            self.keys += times * [json.dumps({"prompt": messages} | example.key)]
        return counts

    @property
    def _tokenizer(self):
        return self.options.template.tokenizer

    def _encode(self, messages: list) -> tuple[np.ndarray, np.ndarray]:
        template = self.options.template
        if self.index:
            messages = self.index.put_before(messages, self.options.passages)
        is_prompt = self.options.kind == "task"
        encode = template.prompt_kinds if is_prompt else template.render_kinds
        found_ids, found_kinds = encode(messages)
        ids, kinds = np.array(found_ids, self.options.dtype), np.array(found_kinds, BYTES)
        # A character of several bytes must stay whole when its neighbours are deleted.
        is_byte = np.isin(ids, list(self._tokenizer.byte_ids))
        kinds[is_byte & (kinds == CONTENT)] = TEXT
        return ids, kinds

    def write(self, folder: Path, shard: int, split: str) -> dict[str, Any]:
        """Write the shard of this split and return what it holds."""
        path = shard_path(folder, shard, split)
        write_ragged(path, self.ids, self.options.dtype)
        write_ragged(f"{path}-kinds", self.kinds, BYTES)
        write_texts(f"{path}-keys", self.keys)
        return dict(zip(COUNTED, self.counts.tolist()))
