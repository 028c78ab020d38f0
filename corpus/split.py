"""Which documents are held out."""

import hashlib
import math


def is_held_out(text: str, val_fraction: float) -> bool:
    """Whether a document belongs to validation: decided by a hash of its text alone.

    Equal documents fall on the same side, whatever else the corpus holds.
    """
    return content_hash(text.encode("utf-8")) < held_out_limit(val_fraction)


def content_hash(content: bytes) -> bytes:
    """Hash of a document given as UTF-8, or of one of ids as the bytes of those."""
    return hashlib.blake2b(content, digest_size=8).digest()


def held_out_limit(val_fraction: float) -> bytes:
    """What the `content_hash` of a document that is held out is below, taken as a number."""
    return math.ceil(val_fraction * 2.0**64).to_bytes(8, "big")
