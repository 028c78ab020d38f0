"""Signatures: what deduplication knows of a document before it reads the text a second time.

MinHash estimates the Jaccard similarity of two sets by the share of equal minima under many hash
functions: A. Broder, "On the resemblance and containment of documents", 1997.
"""

import contextlib
import hashlib
from array import array
from pathlib import Path
from typing import IO

import numpy as np
from rensa import RMinHash

from common.files import PathLike, atomic_open
from corpus.dedup.pieces import PIECE_CHARS, normalised
from corpus.ragged import Ragged

BANDS = 32
ROWS = 4
SEED = 20240229
MAX_NEAR_CHARS = 1_000_000
"""a longer document is compared as a whole only: near comparison holds its pieces in memory"""
ABSENT = np.iinfo(np.uint32).max
"""fills the MinHash of a document that is compared as a whole only"""

UPDATE_CHARS = 1 << 16


def sign_shard(texts: PathLike, output: PathLike, near: bool) -> None:
    """Write the signatures of a shard of N texts; they depend on nothing but the texts.

    `<output>.hashes.npy`: (N, 2) uint64, 128 bits of BLAKE2b of the normalised text.
    `<output>.minhashes.npy`, if `near`: (N, 128) uint32, MinHash of its pieces.

    Raises:
        UserError: the shard cannot be read, or the disk is full.
    """
    shard = Ragged(texts, np.uint8)
    with contextlib.ExitStack() as files:
        hashes = files.enter_context(atomic_open(hash_file(output)))
        write_header(hashes, np.dtype(np.uint64), (len(shard), 2))
        if near:
            minhashes = files.enter_context(atomic_open(minhash_file(output)))
            write_header(minhashes, np.dtype(np.uint32), (len(shard), BANDS * ROWS))
        for index in range(len(shard)):
            text = normalised(shard.text(index))
            hashes.write(hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest())
            if near:
                minhashes.write(_minhash(text))


def hash_file(output: PathLike) -> Path:
    """Where `sign_shard` writes the hashes."""
    return Path(f"{output}.hashes.npy")


def minhash_file(output: PathLike) -> Path:
    """Where `sign_shard` writes the MinHash values."""
    return Path(f"{output}.minhashes.npy")


def write_header(file: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Begin an .npy file whose rows are then written one by one."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)


def _minhash(text: str) -> bytes:
    """The 128 values of a normalised text, in steps so that a long one needs little memory."""
    n_pieces = len(text) - PIECE_CHARS + 1
    if n_pieces < 1 or len(text) > MAX_NEAR_CHARS:
        return array("I", [ABSENT] * (BANDS * ROWS)).tobytes()
    minhash = RMinHash(num_perm=BANDS * ROWS, seed=SEED)
    for begin in range(0, n_pieces, UPDATE_CHARS):
        end = min(begin + UPDATE_CHARS, n_pieces)
        minhash.update([text[i : i + PIECE_CHARS] for i in range(begin, end)])
    return array("I", minhash.digest()).tobytes()
