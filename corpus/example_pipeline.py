"""From raw dialogues, pairs and tasks to example files, by the stages that text goes through."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chat.template import ANSWER, ChatTemplate
from common.errors import UserError
from common.files import atomic_open, fsync_folder, sha256_file
from corpus.cleaning.cleaner import Cleaner
from corpus.config import DataConfig
from corpus.example_file import (
    IDS,
    MASK,
    OFFSETS,
    SEQUENCES,
    SOURCES,
    ExampleManifest,
    example_path,
    keys_path,
    open_examples,
)
from corpus.example_stages import BYTES, Rendering, clean_examples, render_examples
from corpus.executors import open_executor
from corpus.manifest import SourceCounts
from corpus.packing import copy_lists
from corpus.passages import PassageIndex
from corpus.pipeline import SHARD_BYTES, clean_sources, find_repeats, read_sources
from corpus.ragged import Ragged
from corpus.report import Report
from corpus.shuffle import shard_path
from corpus.sources import find_sources, inputs_key, stage_keys
from corpus.stages import SPLITS, Shard
from corpus.workspace import Build, Unfinished, open_workspace
from tokenizer.config import TokenizerConfig

SPLIT_RULE = "held out where the source says so, else where blake2b-64(prompt) / 2^64 < {}"


def build_examples(
    template: ChatTemplate, data: DataConfig, tokenizer_config: TokenizerConfig
) -> Report:
    """Make the example files of a recipe in `data.dir`, unless they are there and up to date.

    Raises:
        UserError: a source has no file or no example, a split is empty, or the disk is full.
        Unfinished: the rest is for other parts of the work, as `data.part` shares it out.
    """
    sources = find_sources(data)
    Cleaner(data.cleaning)  # a wrong rule is refused before anything is read
    fingerprint = template.fingerprint
    if data.augment_documents:
        documents = PassageIndex.open(data.augment_documents).fingerprint
        fingerprint += f" {documents} {data.augment_passages}"
    key = inputs_key(tokenizer_config, data, sources, fingerprint)
    if report := _finished(data, key, template):
        return report
    keys = stage_keys(tokenizer_config, data, sources, (fingerprint, None), SHARD_BYTES)
    reads = [(f"read:{index}", f"clean:{index}") for index in range(len(sources))]
    with (
        open_workspace(Path(data.dir), keys, [("tokens", "write"), *reads], data.part) as work,
        open_executor(data.executor, data.workers) as perform,
    ):
        run = Build(data, [source.name for source in sources], work, perform)
        counts = [SourceCounts(name) for name in run.names]
        shards = read_sources(run, sources, template.tokenizer, counts)
        shards, _ = clean_sources(run, shards, counts, clean_examples)
        removed = find_repeats(run, shards)
        sums = _render(run, shards, removed, template, counts)
        written = _write(run, shards, template)
        if not data.part.startswith("0/"):
            raise Unfinished("all stages are finished; part 0 puts the files in their place")
        return _publish(run, template, sums, written, key)


def _finished(data: DataConfig, key: str, template: ChatTemplate) -> Report | None:
    """What stands in the folder, if it is whole and from the same recipe, files and template."""
    try:
        train, val = (file.manifest for file in open_examples(data.dir, data.kind))
    except UserError:
        return None  # missing, cut, damaged or of another version: make it again
    if (train.inputs, train.template["fingerprint"]) != (key, template.fingerprint):
        return None
    return Report(train, val, up_to_date=True)


def _render(
    run: Build,
    shards: Sequence[Shard],
    removed: Path | None,
    template: ChatTemplate,
    counts: list[SourceCounts],
) -> dict[str, list[SourceCounts]]:
    """Shards of ids; what they hold, by split and source."""
    data, tasks = run.data, []
    folder = run.work.path("tokens", "")
    for number, shard in enumerate(shards):
        weight = data.sources[shard.source].weight
        options = Rendering(
            template,
            data.kind,
            data.val_fraction,
            weight,
            data.seed,
            data.augment_documents,
            data.augment_passages,
        )
        arguments = (shard.path, shard.first, removed, (folder, number), options)
        task = (f"{number:06d}", shard.n_bytes, render_examples, *arguments)
        tasks.append(run.work.task("tokens", *task))
    results = run.run("tokens", tasks)
    sums = {key: [SourceCounts(name) for name in run.names] for key in (*SPLITS, "unweighted")}
    for shard, result in zip(shards, results):
        for key, of_source in sums.items():
            of_source[shard.source] += SourceCounts("", **result[key])
    for before, train, val, found in zip(sums["unweighted"], *map(sums.get, SPLITS), counts):
        found.unique = before.documents + val.documents
        for name in ("skipped", "damaged", "read", "cleaned", "unique"):
            setattr(train, name, getattr(found, name))
        if not found.unique:
            raise UserError(
                f"data.sources: every example of {found.name} repeats one of an earlier source; "
                "take it out of the recipe, or set data.dedup to none"
            )
    for split, name, change in (("val", "validation", "raise"), ("train", "training", "lower")):
        if not sum(found.documents for found in sums[split]):
            raise UserError(
                f"no example fell to the {name} file with data.val_fraction "
                f"{data.val_fraction}; {change} data.val_fraction or give more examples"
            )
    return sums


def _write(run: Build, shards: Sequence[Shard], template: ChatTemplate) -> list[dict[str, Any]]:
    """Write the files of both splits into the work folder; what is known of each."""
    tokens, sources = run.work.path("tokens", ""), [shard.source for shard in shards]
    dtype = Rendering(template, "", 0, 0, 0).dtype.str
    tasks = []
    for split in SPLITS:
        arguments = (tokens, split, sources, run.data.kind, dtype, run.work.path("write", ""))
        tasks.append(run.work.task("write", split, 0, write_examples, *arguments))
    written = run.run("write", tasks)
    run.work.replace("tokens", "write")
    return written


def write_examples(
    shards: Path, split: str, sources: list[int], kind: str, dtype: str, output: Path
) -> dict[str, Any]:
    """Write the shards of a split one after another as example files; returns their counts.

    `sources` gives the number of the source of each shard.

    Raises:
        UserError: the disk is full.
    """
    lengths, numbers, trained = [np.zeros(1, np.int64)], [np.empty(0, np.uint16)], 0
    with (
        atomic_open(example_path(output, split, IDS)) as ids_file,
        atomic_open(example_path(output, split, MASK)) as mask_file,
        atomic_open(keys_path(output, split)) as keys_file,
    ):
        for number, source in enumerate(sources):
            path = shard_path(shards, number, split)
            ids, kinds = Ragged(path, dtype), Ragged(f"{path}-kinds", BYTES)
            keys = Ragged(f"{path}-keys", BYTES)
            ids_file.write(ids.items.tobytes())
            mask_file.write(kinds.items.tobytes())
            keys_file.writelines(key + b"\n" for key in keys.contents(range(len(keys))))
            trained += int((kinds.items == ANSWER).sum())
            lengths.append(np.diff(ids.offsets))
            numbers.append(np.full(len(ids) // SEQUENCES[kind], source, np.uint16))
    all_lengths = np.concatenate(lengths)
    with atomic_open(example_path(output, split, OFFSETS)) as file:
        np.save(file, np.cumsum(all_lengths))
    with atomic_open(example_path(output, split, SOURCES)) as file:
        np.save(file, np.concatenate(numbers))
    paths = [example_path(output, split, suffix) for suffix in (IDS, MASK, OFFSETS, SOURCES)]
    if kind == "task":
        paths.append(keys_path(output, split))
    return {
        "trained_tokens": trained,
        "longest": int(all_lengths.max()),
        "files": {path.name: sha256_file(path) for path in paths},
    }


def _publish(
    run: Build,
    template: ChatTemplate,
    sums: dict[str, list[SourceCounts]],
    written: list[dict[str, Any]],
    key: str,
) -> Report:
    """Put the finished files in place of the old ones; the manifests come last."""
    folder, tokenizer = Path(run.data.dir), template.tokenizer
    manifests = {}
    for split, found in zip(SPLITS, written):
        total = sum(sums[split], SourceCounts("all"))
        manifests[split] = ExampleManifest(
            kind=run.data.kind,
            dtype=Rendering(template, "", 0, 0, 0).dtype.name,
            examples=total.documents,
            tokens=total.tokens,
            text_bytes=total.text_bytes,
            characters=total.characters,
            split=SPLIT_RULE.format(run.data.val_fraction),
            inputs=key,
            tokenizer={
                "kind": tokenizer.kind,
                "fingerprint": tokenizer.fingerprint,
                "vocab_size": tokenizer.vocab_size,
                "eos_id": tokenizer.eos_id,
            },
            template={"name": template.style.name, "fingerprint": template.fingerprint},
            sources=sums[split],
            **found,
        )
        for name in found["files"]:
            if (made := run.work.path("write", name)).is_file():
                os.replace(made, folder / name)
        if run.data.kind != "task":
            keys_path(folder, split).unlink(missing_ok=True)
    copy_lists(run)
    template.save(folder)
    fsync_folder(folder)
    for split in reversed(SPLITS):
        manifests[split].save(folder, split)
    run.work.remove("tokens", "write")
    return Report(manifests["train"], manifests["val"], up_to_date=False)
