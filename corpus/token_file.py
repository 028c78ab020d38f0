"""Token files: ids one after another in a flat binary file, every document ended by <eos>."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from corpus.manifest import Manifest, manifest_path
from tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

SCAN_TOKENS = 1 << 22
TRAIN_NAME = "pretrain_data.bin"
VAL_NAME = "val_data.bin"


class TokenFileWriter:
    """Stream documents into a token file, which appears when the `with` block ends well.

    Counts what it writes in `tokens` and `documents`; `sha256` is that of the file so far.
    """

    def __init__(self, path: Union[str, Path], vocab_size: int):
        """Prepare to write `path`; ids must stay below `vocab_size`."""
        self.path = Path(path)
        self.vocab_size = vocab_size
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.tokens = 0
        self.documents = 0
        self._digest = hashlib.sha256()
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> "TokenFileWriter":
        """Open the temporary file."""
        self._file = self._resources.enter_context(atomic_open(self.path))
        return self

    def __exit__(self, *error) -> None:
        """Publish the file, or remove what was written if the block failed."""
        self._resources.__exit__(*error)

    def write(self, ids: Sequence[int]) -> None:
        """Append one document; `ids` end in <eos>.

        Raises:
            UserError: an id does not fit the vocabulary, or the disk is full.
        """
        document = np.asarray(ids, dtype=np.int64)
        if document.size and not 0 <= document.min() <= document.max() < self.vocab_size:
            wrong = next(i for i in ids if not 0 <= i < self.vocab_size)
            raise UserError(
                f"token id {wrong} is outside the vocabulary of {self.vocab_size} ids, at token "
                f"{self.tokens + ids.index(wrong)} of {self.path}; the tokenizer is not usable"
            )
        block = document.astype(self.dtype).tobytes()
        self._file.write(block)
        self._digest.update(block)
        self.tokens += len(ids)
        self.documents += 1

    def sync(self) -> None:
        """Bring everything to the disk, so that publishing cannot fail for lack of room."""
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        """Hash of what was written, as hex."""
        return self._digest.hexdigest()


class TokenFile:
    """A token file to read from. Cheap to pickle: the map is opened where it is first used."""

    def __init__(self, path: Path, dtype: np.dtype, n_tokens: int, manifest: Optional[Manifest]):
        """Use `TokenFile.open`."""
        self.path = path
        self.dtype = dtype
        self.n_tokens = n_tokens
        self.manifest = manifest
        self._map: Optional[np.memmap] = None

    @classmethod
    def open(cls, path: Union[str, Path]) -> "TokenFile":
        """Open a token file; one without a manifest is taken as uint16, with a warning.

        Raises:
            UserError: it is missing, empty, cut, or not of the size that its manifest gives.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path} does not exist; run python data_process.py to make it")
        manifest = None
        if manifest_path(path).exists():
            manifest = Manifest.load(path)
        else:
            log.warning("%s has no manifest: its tokenizer is not known, taken as uint16", path)
        dtype = np.dtype(manifest.dtype if manifest else "uint16").newbyteorder("<")
        n_tokens, rest = divmod(path.stat().st_size, dtype.itemsize)
        if rest:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes, not a multiple of {dtype.itemsize}: it "
                "was cut; copy it again or run python data_process.py"
            )
        if manifest and manifest.tokens != n_tokens:
            raise UserError(
                f"{path} has {n_tokens} tokens but its manifest says {manifest.tokens}; "
                "run python data_process.py again"
            )
        if not n_tokens:
            raise UserError(f"{path} is empty; run python data_process.py on some text")
        return cls(path, dtype, n_tokens, manifest)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Ids [start, stop) as int32 of shape (stop - start,), fewer at the end of the file."""
        if self._map is None:
            self._map = np.memmap(self.path, dtype=self.dtype, mode="r")
        return self._map[start:stop].astype(np.int32)

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
        digest = hashlib.sha256()
        # Plain reads: a map of the whole file would count as memory of this process.
        with open(self.path, "rb") as file:
            for start in range(0, self.n_tokens, SCAN_TOKENS):
                ids = np.fromfile(file, dtype=self.dtype, count=SCAN_TOKENS)
                digest.update(ids)
                self._check_range(ids, start, tokenizer.vocab_size)
        if self.manifest and digest.hexdigest() != self.manifest.sha256:
            raise UserError(
                f"{self.path} is not the file that its manifest describes (SHA-256 differs); "
                "run python data_process.py again"
            )

    def _check_range(self, ids: np.ndarray, start: int, vocab_size: int) -> None:
        if ids.max() >= vocab_size:
            at = int(np.argmax(ids >= vocab_size))
            raise UserError(
                f"{self.path} holds token id {ids[at]} at position {start + at}, outside the "
                f"vocabulary of {vocab_size} ids; it was made with another tokenizer"
            )

    def __getstate__(self) -> dict:
        """Leave the map behind: each process opens its own."""
        return {**self.__dict__, "_map": None}


def open_split(folder: Union[str, Path]) -> tuple[TokenFile, TokenFile]:
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
