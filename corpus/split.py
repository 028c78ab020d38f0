"""Which documents are held out."""

import hashlib


def is_held_out(text: str, val_fraction: float) -> bool:
    """Whether a document belongs to validation: decided by a hash of its text alone.

    Equal documents fall on the same side, whatever else the corpus holds.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < val_fraction * 2.0**64
