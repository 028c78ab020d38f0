"""Example files: sequences of ids with a loss mask, one or two to an example.

`<split>_examples.bin` holds the ids, `.mask` what each id belongs to, `.npy` where each sequence
begins and the last ends, `.sources.npy` the source of each example, and `.json` the manifest. The
answer keys of tasks stand in `<split>_keys.jsonl`, a line an example.
"""

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chat.template import ANSWER, ChatTemplate
from common.errors import UserError
from common.files import PathLike, read_json, sha256_file, write_json
from corpus.manifest import SourceCounts
from tokenizer.tokenizer import Tokenizer

FORMAT_VERSION = 1
SEQUENCES = {"sft": 1, "pairs": 2, "task": 1}
"""Sequences of an example: a dialogue; the chosen and the rejected one; a prompt alone."""
IDS, MASK, OFFSETS, SOURCES, MANIFEST = ".bin", ".mask", ".npy", ".sources.npy", ".json"
REMEDY = "run python data_process.py again"


@dataclass
class ExampleManifest:
    """Contents of `<split>_examples.json`."""

    kind: str
    """sft, pairs or task"""
    dtype: str
    """of the ids: uint16 or uint32, little-endian"""
    examples: int
    tokens: int
    trained_tokens: int
    """ids of answers and of their ends"""
    longest: int
    """ids of the longest sequence"""
    text_bytes: int
    characters: int
    files: dict[str, str]
    """SHA-256 of each file by its name"""
    split: str
    """rule that parts training from validation"""
    inputs: str
    """hash of recipe, raw files, tokenizer and template; the files of one run carry the same"""
    tokenizer: dict[str, Any]
    """kind, fingerprint, vocab_size, eos_id"""
    template: dict[str, Any]
    """name and fingerprint"""
    sources: list[SourceCounts] = field(default_factory=list)
    format_version: int = FORMAT_VERSION

    @property
    def documents(self) -> int:
        """Examples, under the name that the manifest of a token file has for its items."""
        return self.examples

    def save(self, folder: PathLike, split: str) -> None:
        """Write the manifest of a split."""
        write_json(example_path(folder, split, MANIFEST), dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: PathLike, split: str) -> "ExampleManifest":
        """Read the manifest of a split.

        Raises:
            UserError: it is missing, damaged or of another version.
        """
        path = example_path(folder, split, MANIFEST)
        if Path(folder).is_file():
            raise UserError(f"{folder} is a file; name the folder of the data")
        if not path.is_file():
            raise UserError(
                f"{path} does not exist; run python data_process.py with the same recipe first"
            )
        values = read_json(path)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != FORMAT_VERSION:
            raise UserError(f"{path} has format version {version}, not {FORMAT_VERSION}; {REMEDY}")
        try:
            sources = [SourceCounts(**source) for source in values.pop("sources")]
            return cls(sources=sources, **values)
        except (TypeError, KeyError) as error:
            raise UserError(f"{path} is damaged ({error}); {REMEDY}") from error


class ExampleFile:
    """The examples of a split. Cheap to pickle: its files are mapped where they are first used."""

    def __init__(self, folder: Path, split: str, manifest: ExampleManifest):
        """Use `ExampleFile.open`."""
        self.folder, self.split, self.manifest = folder, split, manifest
        self.kind = manifest.kind
        self.n_sequences = SEQUENCES[manifest.kind]
        """sequences of an example"""
        self.n_examples = manifest.examples

    @classmethod
    def open(cls, folder: PathLike, split: str) -> "ExampleFile":
        """Open the example files of a split, train or val, in a data folder.

        Raises:
            UserError: one is missing, or is not of the size that the manifest gives.
        """
        file = cls(Path(folder), split, ExampleManifest.load(folder, split))
        size = np.dtype(file.manifest.dtype).itemsize
        for suffix, n_bytes in ((IDS, size), (MASK, 1)):
            path = file.path(suffix)
            if not path.is_file():
                raise UserError(f"{path} does not exist; {REMEDY}")
            if path.stat().st_size != n_bytes * file.manifest.tokens:
                raise UserError(f"{path} is not of the size that its manifest gives; {REMEDY}")
        if len(file.offsets) != file.n_examples * file.n_sequences + 1:
            raise UserError(f"{file.path(OFFSETS)} does not belong to its manifest; {REMEDY}")
        return file

    def path(self, suffix: str) -> Path:
        """Where one of the files stands."""
        return example_path(self.folder, self.split, suffix)

    @property
    def fingerprint(self) -> str:
        """Hash of the contents of all files of the split."""
        return hashlib.sha256(json.dumps(self.manifest.files, sort_keys=True).encode()).hexdigest()

    def example(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The sequences of an example: ids (N,) int32 and loss mask (N,) uint8, 1 on answers."""
        return [(ids, (kinds == ANSWER).astype(np.uint8)) for ids, kinds in self.kinds(index)]

    def kinds(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `example`, with what each id belongs to: template, answer or another content."""
        found = []
        for number in range(index * self.n_sequences, (index + 1) * self.n_sequences):
            place = slice(*self.offsets[number : number + 2])
            found.append((self._ids[place].astype(np.int32), np.array(self._mask[place])))
        return found

    def all_kinds(self, begin: int, end: int) -> np.ndarray:
        """What the ids `begin` to `end` - 1 of the file belong to."""
        return np.array(self._mask[begin:end])

    def lengths(self) -> np.ndarray:
        """Ids of each sequence, (n_examples, n_sequences) int64."""
        return np.diff(self.offsets).reshape(self.n_examples, self.n_sequences)

    def source(self, index: int) -> str:
        """Name of the source that an example is from."""
        return self.manifest.sources[self.source_numbers[index]].name

    def key(self, index: int) -> dict[str, Any]:
        """The prompt's messages and the answer key of a task.

        Raises:
            UserError: the examples are no tasks.
        """
        if self.kind != "task":
            raise UserError(f"{self.path(IDS)} holds examples of kind {self.kind}, without keys")
        begin, end = self._key_offsets[index : index + 2]
        with open(keys_path(self.folder, self.split), "rb") as file:
            file.seek(begin)
            return json.loads(file.read(end - begin)) | {"source": self.source(index)}

    def check(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        """Read all files once, and make sure that they are sound and fit.

        Raises:
            UserError: another tokenizer or template made them, or they are not those that the
                manifest describes.
        """
        if self.manifest.tokenizer["fingerprint"] != tokenizer.fingerprint:
            raise UserError(
                f"{self.path(IDS)} was made with another tokenizer than {tokenizer.model_file}; "
                f"{REMEDY}"
            )
        if self.manifest.template["fingerprint"] != template.fingerprint:
            raise UserError(
                f"{self.path(IDS)} was made with another chat template "
                f"({self.manifest.template['name']}) than {template.style.name}; {REMEDY}"
            )
        for name, expected in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file() or sha256_file(path) != expected:
                raise UserError(
                    f"{path} is not the file that its manifest describes (SHA-256 differs); "
                    f"{REMEDY}"
                )

    @functools.cached_property
    def offsets(self) -> np.ndarray:
        """Where each sequence begins, and the last ends."""
        try:
            return np.load(self.path(OFFSETS), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path(OFFSETS)} cannot be read ({error}); {REMEDY}") from error

    @functools.cached_property
    def source_numbers(self) -> np.ndarray:
        """Number of the source of each example, (n_examples,)."""
        return np.load(self.path(SOURCES), mmap_mode="r", allow_pickle=False)

    @functools.cached_property
    def _ids(self) -> np.ndarray:
        dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
        return np.memmap(self.path(IDS), dtype, mode="r")

    @functools.cached_property
    def _mask(self) -> np.ndarray:
        return np.memmap(self.path(MASK), np.uint8, mode="r")

    @functools.cached_property
    def _key_offsets(self) -> list[int]:
        offsets = [0]
        with open(keys_path(self.folder, self.split), "rb") as file:
            for line in file:
                offsets.append(offsets[-1] + len(line))
        return offsets

    def __getstate__(self) -> dict:
        """Leave the maps behind: each process opens its own."""
        maps = ("offsets", "source_numbers", "_ids", "_mask", "_key_offsets")
        return {name: value for name, value in self.__dict__.items() if name not in maps}


def open_examples(folder: PathLike, kind: str) -> tuple[ExampleFile, ExampleFile]:
    """The training and the validation examples of a data folder.

    Raises:
        UserError: a file is missing or unsound, they are of another kind, or from two runs.
    """
    train, val = (ExampleFile.open(folder, split) for split in ("train", "val"))
    for file in (train, val):
        if file.kind != kind:
            raise UserError(
                f"{file.path(IDS)} holds examples of kind {file.kind}, not {kind}; "
                "set data.dir to a folder of its own and run python data_process.py"
            )
    if train.manifest.inputs != val.manifest.inputs:
        raise UserError(
            f"{train.path(IDS)} and {val.path(IDS)} come from different runs of data_process.py, "
            f"so held-out examples may be in the training file; {REMEDY}"
        )
    return train, val


def example_path(folder: PathLike, split: str, suffix: str) -> Path:
    """data/train_examples.bin and the files beside it."""
    return Path(folder) / f"{split}_examples{suffix}"


def keys_path(folder: PathLike, split: str) -> Path:
    """data/train_keys.jsonl"""
    return Path(folder) / f"{split}_keys.jsonl"
