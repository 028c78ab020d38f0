"""The last stages: shuffled documents of all shards into the token files of a data folder."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.files import atomic_open, fsync_folder
from corpus.dedup.report import REPORT_NAME
from corpus.filter_stage import FILTERED_NAME
from corpus.manifest import CUT_RULE, SPLIT_RULE, FilePart, Manifest, SourceCounts
from corpus.report import Report
from corpus.shuffle import gather_bucket
from corpus.stages import SPLITS
from corpus.token_file import TRAIN_NAME, VAL_NAME, TokenFileWriter
from corpus.workspace import Build
from tokenizer.tokenizer import MODEL_NAME, Tokenizer

BUCKET_BYTES = 32 << 20
BLOCK_BYTES = 1 << 20
NAMES = dict(zip(SPLITS, (TRAIN_NAME, VAL_NAME)))


@dataclass(frozen=True)
class Tokens:
    """What the tokenising stage made."""

    tokenizer: Tokenizer
    folder: Path
    """of the shards"""
    n_shards: int
    dtype: np.dtype
    counts: dict[str, list[SourceCounts]]
    """of each source, by split"""

    def n_tokens(self, split: str) -> int:
        """Ids of all sources."""
        return sum(counts.tokens for counts in self.counts[split])


def pack(run: Build, tokens: Tokens) -> dict[str, dict[str, Any]]:
    """Gather and write both token files into the work folder; what is known of each, by split.

    Raises:
        UserError: a split is empty, or the disk is full.
    """
    _check_not_empty(run, tokens)
    n_buckets = {
        split: -(-tokens.n_tokens(split) * tokens.dtype.itemsize // BUCKET_BYTES)
        for split in SPLITS
    }
    tasks, buckets = [], {split: [] for split in SPLITS}
    for split, bucket in [(s, bucket) for s in SPLITS for bucket in range(n_buckets[s])]:
        name = f"{split}-{bucket:06d}"
        output = run.work.path("pack", f"{name}.bin")
        place = (tokens.folder, split, tokens.n_shards, bucket, n_buckets[split])
        arguments = (*place, tokens.dtype.str, output)
        tasks.append(run.work.task("pack", name, BUCKET_BYTES, gather_bucket, *arguments))
        buckets[split].append(output)
    gathered = run.run("pack", tasks)
    run.work.replace("tokens", "pack")
    n_gathered = sum(result["tokens"] for result in gathered)
    assert n_gathered == sum(map(tokens.n_tokens, SPLITS)), "tokens made and gathered differ"
    tasks = []
    for split in SPLITS:
        output = run.work.path("write", NAMES[split])
        part_tokens = run.data.shard_tokens if split == "train" else 0
        n_bytes = tokens.n_tokens(split) * tokens.dtype.itemsize
        arguments = (buckets[split], output, tokens.tokenizer.vocab_size, part_tokens)
        tasks.append(run.work.task("write", split, n_bytes, write_split, *arguments))
    written = dict(zip(SPLITS, run.run("write", tasks)))
    for split in SPLITS:
        assert written[split]["tokens"] == tokens.n_tokens(split), "tokens made and written differ"
    run.work.replace("pack", "write")
    return written


def write_split(
    buckets: list[Path], output: Path, vocab_size: int, part_tokens: int
) -> dict[str, Any]:
    """Write the buckets one after another as a token file, or as parts of one.

    Raises:
        UserError: the disk is full.
    """
    with TokenFileWriter(output, vocab_size, part_tokens) as writer:
        for bucket in buckets:
            with open(bucket, "rb") as file:
                while block := file.read(BLOCK_BYTES):
                    writer.write_block(np.frombuffer(block, writer.dtype))
    parts = [asdict(part) for part in writer.parts]
    return {"tokens": writer.tokens, "sha256": writer.sha256, "parts": parts}


def publish(run: Build, tokens: Tokens, written: dict[str, dict[str, Any]], key: str) -> Report:
    """Put the finished files in place of the old ones, with their manifests, and end the work.

    The manifests come last: until then the old ones do not describe the new files, so that a crash
    in between is noticed.
    """
    folder = Path(run.data.dir)
    made = run.work.path("write", "")
    manifests = {}
    for split in SPLITS:
        parts = [FilePart(**part) for part in written[split]["parts"]]
        files = [part.name for part in parts] or [NAMES[split]]
        manifests[split] = _manifest(tokens, split, written[split]["sha256"], parts, run, key)
        for file in files:
            _move(made / file, folder)
        _delete_others(folder, NAMES[split], files)
    copy_lists(run)
    if run.work.path("vocabulary", MODEL_NAME).is_file():
        tokens.tokenizer.save(folder)
    fsync_folder(folder)
    for split in reversed(SPLITS):
        manifests[split].save(folder / NAMES[split])
    # What the next vocabulary, weight, split or seed can begin with stays.
    run.work.remove("tokens", "pack", "write")
    return Report(manifests["train"], manifests["val"], up_to_date=False)


def copy_lists(run: Build) -> None:
    """Lay the lists of removed documents beside the files, where there are any."""
    for stage, name in (("dedup", REPORT_NAME), ("filter", FILTERED_NAME)):
        target = Path(run.data.dir) / name
        target.unlink(missing_ok=True)
        if stage in run.work.folders and (found := run.work.path(stage, name)).is_file():
            with atomic_open(target) as file, open(found, "rb") as lines:
                shutil.copyfileobj(lines, file)


def _manifest(
    tokens: Tokens, split: str, sha256: str, parts: list[FilePart], run: Build, key: str
) -> Manifest:
    total = sum(tokens.counts[split], SourceCounts("all"))
    tokenizer = tokens.tokenizer
    return Manifest(
        dtype=tokens.dtype.name,
        tokens=total.tokens,
        documents=total.documents,
        text_bytes=total.text_bytes,
        characters=total.characters,
        sha256=sha256,
        split=SPLIT_RULE.format(run.data.val_fraction)
        + (CUT_RULE if any(counts.documents for counts in tokens.counts["cut"]) else ""),
        inputs=key,
        tokenizer={
            "kind": tokenizer.kind,
            "fingerprint": tokenizer.fingerprint,
            "vocab_size": tokenizer.vocab_size,
            "eos_id": tokenizer.eos_id,
        },
        sources=tokens.counts[split],
        parts=parts,
        commits=run.commits,
        scored_by=run.scored_by,
    )


def _check_not_empty(run: Build, tokens: Tokens) -> None:
    fraction = run.data.val_fraction
    for split, name, change in (("val", "validation", "raise"), ("train", "training", "lower")):
        if not tokens.n_tokens(split):
            raise UserError(
                f"no document fell to the {name} file with data.val_fraction {fraction}; "
                f"{change} data.val_fraction or give more documents"
            )


def _move(file: Path, folder: Path) -> None:
    """Move a file if it is there: a run that was killed may have moved it before."""
    if file.is_file():
        os.replace(file, folder / file.name)


def _delete_others(folder: Path, name: str, files: Sequence[str]) -> None:
    """Delete the files of an earlier run that was spread differently."""
    for path in [folder / name, *folder.glob(f"{Path(name).stem}-[0-9]*.bin")]:
        if path.name not in files:
            path.unlink(missing_ok=True)
