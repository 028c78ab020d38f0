"""Token files: ids one after another in a flat binary file, every document ended by <eos>.

A large file can be spread over several, its parts; where a part begins means nothing.
"""

import bisect
import contextlib
import hashlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from corpus.manifest import FilePart, Manifest, manifest_path
from tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

SCAN_TOKENS = 1 << 22
TRAIN_NAME = "pretrain_data.bin"
VAL_NAME = "val_data.bin"


class TokenFileWriter:
    """Stream ids into a token file, or into its parts; each appears when it is complete.

    Counts what it writes in `tokens` and `documents`; `sha256` is that of the ids so far.
    """

    def __init__(self, path: str | Path, vocab_size: int, part_tokens: int = 0):
        """Write `path`, or parts of `part_tokens` ids if that is given; ids < `vocab_size`."""
        self.path = Path(path)
        self.vocab_size = vocab_size
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.tokens = 0
        self.documents = 0
        self.parts: list[FilePart] = []
        """the finished ones; empty if all is in one file"""
        self._part_tokens = part_tokens
        self._digest = hashlib.sha256()
        self._open_part = contextlib.ExitStack()

    def __enter__(self) -> "TokenFileWriter":
        """Open the temporary file."""
        self._begin_part()
        return self

    def __exit__(self, *error) -> None:
        """Publish the file, or remove what was written of it if the block failed."""
        self._open_part.__exit__(*error)
        if self._part_tokens and not any(error):
            self._note_part()

    def write(self, ids: Sequence[int]) -> None:
        """Append one document; `ids` end in <eos>.

        Raises:
            UserError: an id does not fit the vocabulary, or the disk is full.
        """
        self.write_block(np.asarray(ids, dtype=np.int64))
        self.documents += 1

    def write_block(self, ids: np.ndarray) -> None:
        """Append ids (N,) without counting documents.

        Raises:
            UserError: an id does not fit the vocabulary, or the disk is full.
        """
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            at = int(np.argmax((ids < 0) | (ids >= self.vocab_size)))
            raise UserError(
                f"token id {ids[at]} is outside the vocabulary of {self.vocab_size} ids, at token "
                f"{self.tokens + at} of {self.path}; the tokenizer is not usable"
            )
        ids = ids.astype(self.dtype)
        while self._part_tokens and self._in_part + len(ids) > self._part_tokens:
            room = self._part_tokens - self._in_part
            self._append(ids[:room])
            ids = ids[room:]
            self._open_part.close()
            self._note_part()
            self._begin_part()
        self._append(ids)

    @property
    def sha256(self) -> str:
        """Hash of what was written, as hex."""
        return self._digest.hexdigest()

    def _append(self, ids: np.ndarray) -> None:
        block = ids.tobytes()
        self._file.write(block)
        self._digest.update(block)
        if self._part_tokens:
            self._part_digest.update(block)
        self.tokens += len(ids)
        self._in_part += len(ids)

    def _begin_part(self) -> None:
        name = part_name(self.path.name, len(self.parts)) if self._part_tokens else self.path.name
        self._part_path = self.path.with_name(name)
        self._in_part, self._part_digest = 0, hashlib.sha256()
        self._file = self._open_part.enter_context(atomic_open(self._part_path))

    def _note_part(self) -> None:
        digest = self._part_digest.hexdigest()
        self.parts.append(FilePart(self._part_path.name, self._in_part, digest))


class TokenFile:
    """A token file to read from. Cheap to pickle: its files are mapped where they are first used.

    `path` names the whole, also where it is spread over parts.
    """

    def __init__(self, path: Path, files: dict[Path, int], dtype: np.dtype, manifest):
        """Use `TokenFile.open`; `files` gives the number of ids in each file."""
        self.path = path
        self.dtype = dtype
        self.manifest: Manifest | None = manifest
        self._files = list(files)
        self._starts = [0, *itertools.accumulate(files.values())]
        self._maps: dict[int, np.memmap] = {}

    @classmethod
    def open(cls, path: str | Path) -> "TokenFile":
        """Open a token file; one without a manifest is taken as uint16, with a warning.

        Raises:
            UserError: it is missing, empty, cut, or not of the size that its manifest gives.
        """
        path = Path(path)
        manifest = Manifest.load(path) if manifest_path(path).exists() else None
        parts = manifest.parts if manifest else []
        paths = [path.with_name(part.name) for part in parts] or [path]
        for file in paths:
            if not file.is_file():
                raise UserError(f"{file} does not exist; run python data_process.py to make it")
        if manifest is None:
            log.warning("%s has no manifest: its tokenizer is not known, taken as uint16", path)
        dtype = np.dtype(manifest.dtype if manifest else "uint16").newbyteorder("<")
        files = {file: _n_tokens(file, dtype) for file in paths}
        expected = [part.tokens for part in parts] or [manifest.tokens if manifest else None]
        for file, tokens in zip(paths, expected):
            if tokens is not None and tokens != files[file]:
                raise UserError(
                    f"{file} has {files[file]} tokens but its manifest says {tokens}; "
                    "run python data_process.py again"
                )
        if not sum(files.values()):
            raise UserError(f"{path} is empty; run python data_process.py on some text")
        return cls(path, files, dtype, manifest)

    @property
    def n_tokens(self) -> int:
        """Ids in all its files."""
        return self._starts[-1]

    @property
    def fingerprint(self) -> str:
        """Changes when the ids change; of a file without a manifest, only its size is known."""
        return self.manifest.sha256 if self.manifest else f"{self.n_tokens} ids"

    def read(self, start: int, stop: int) -> np.ndarray:
        """Ids [start, stop) as int32 of shape (stop - start,), fewer at the end of the file."""
        stop = min(stop, self.n_tokens)
        pieces = []
        index = bisect.bisect_right(self._starts, start) - 1
        while start < stop:
            begin, end = self._starts[index], min(self._starts[index + 1], stop)
            pieces.append(self._map(index)[start - begin : end - begin])
            start, index = end, index + 1
        return np.concatenate(pieces).astype(np.int32) if pieces else np.empty(0, np.int32)

    def blocks(self) -> Iterator[tuple[Path, np.ndarray]]:
        """All ids in order, each block with the file that it is from."""
        for path in self._files:
            # Plain reads: a map of the whole file would count as memory of this process.
            with open(path, "rb") as file:
                while len(ids := np.fromfile(file, dtype=self.dtype, count=SCAN_TOKENS)):
                    yield path, ids

    def check(self, tokenizer: Tokenizer) -> None:
        """Read the whole file once, and make sure that it is sound and fits `tokenizer`.

        Raises:
            UserError: another tokenizer made it, an id is outside the vocabulary, or the
                contents are not those that the manifest describes.
        """
        if self.manifest and self.manifest.tokenizer["fingerprint"] != tokenizer.fingerprint:
            raise UserError(
                f"{self.path} was made with another tokenizer "
                f"({self.manifest.tokenizer['kind']}, {self.manifest.tokenizer['vocab_size']} ids) "
                f"than {tokenizer.model_file}; run python data_process.py again"
            )
        digests = {path: hashlib.sha256() for path in self._files}
        position = 0
        for path, ids in self.blocks():
            digests[path].update(ids)
            self._check_range(ids, position, tokenizer.vocab_size)
            position += len(ids)
        if self.manifest:
            self._check_digests({path: digest.hexdigest() for path, digest in digests.items()})

    def _check_digests(self, digests: dict[Path, str]) -> None:
        parts = [part.sha256 for part in self.manifest.parts] or [self.manifest.sha256]
        for (path, found), expected in zip(digests.items(), parts):
            if found != expected:
                raise UserError(
                    f"{path} is not the file that its manifest describes (SHA-256 differs); "
                    "run python data_process.py again"
                )

    def _check_range(self, ids: np.ndarray, start: int, vocab_size: int) -> None:
        if ids.max() >= vocab_size:
            at = int(np.argmax(ids >= vocab_size))
            raise UserError(
                f"{self.path} holds token id {ids[at]} at position {start + at}, outside the "
                f"vocabulary of {vocab_size} ids; it was made with another tokenizer"
            )

    def _map(self, index: int) -> np.memmap:
        if index not in self._maps:
            self._maps[index] = np.memmap(self._files[index], dtype=self.dtype, mode="r")
        return self._maps[index]

    def __getstate__(self) -> dict:
        """Leave the maps behind: each process opens its own."""
        return {**self.__dict__, "_maps": {}}


def part_name(name: str, number: int) -> str:
    """pretrain_data.bin -> pretrain_data-00003.bin"""
    return f"{Path(name).stem}-{number:05d}.bin"


def _n_tokens(path: Path, dtype: np.dtype) -> int:
    n_tokens, rest = divmod(path.stat().st_size, dtype.itemsize)
    if rest:
        raise UserError(
            f"{path} has {path.stat().st_size} bytes, not a multiple of {dtype.itemsize}: it "
            "was cut; copy it again or run python data_process.py"
        )
    return n_tokens


def open_split(folder: str | Path) -> tuple[TokenFile, TokenFile]:
    """The training and the validation file of a data folder.

    Raises:
        UserError: one is missing or unsound, or they come from two different runs.
    """
    train, val = (TokenFile.open(Path(folder) / name) for name in (TRAIN_NAME, VAL_NAME))
    if train.manifest and val.manifest and train.manifest.inputs != val.manifest.inputs:
        raise UserError(
            f"{train.path} and {val.path} come from different runs of data_process.py, so held-out "
            "text may be in the training file; run python data_process.py again"
        )
    return train, val
