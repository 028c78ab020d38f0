"""From raw corpora to token files, stage by stage: read, clean, dedup, filter, tokenise, pack.

A stage is a list of tasks, each a pure function of its input files; the stages hand each other
shards, which are files in the work folder. So a stage runs in one process or many, here or on a
cluster, and a run that was killed goes on where it was, always with the same outcome.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from corpus.cleaning.cleaner import Cleaner
from corpus.cleaning.report import CleaningReport
from corpus.config import DataConfig
from corpus.dedup_stage import remove_repeats
from corpus.executors import open_executor
from corpus.filter_stage import TextScorer, filter_texts
from corpus.manifest import SourceCounts
from corpus.packing import Tokens, pack, publish
from corpus.report import Report, format_mixture, split_notes, write_cleaning_report
from corpus.sources import Source, commits_of, find_sources, inputs_key, stage_keys
from corpus.split import Split
from corpus.stages import (
    SPLITS,
    Shard,
    Tokenising,
    clean_shard,
    count_removed,
    read_files,
    tokenise_ids,
    tokenise_texts,
)
from corpus.token_file import TRAIN_NAME, VAL_NAME, TokenFile
from corpus.vocabulary import count_pieces, tokenizer_for, train_vocabulary
from corpus.workspace import Build, Unfinished, open_workspace
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import MODEL_NAME, Tokenizer, load_tokenizer
from tokenizer.train import too_many_characters

SHARD_BYTES = 16 << 20
Clean = Callable[[Path, Path, list[dict[str, Any]], str], dict[str, Any]]
CERTAIN_SHARE = 0.9
"""A vocabulary below this share of the pieces that the corpus with its repetitions needs is too \
small for certain."""


def build(
    tokenizer_config: TokenizerConfig, data: DataConfig, scorer: TextScorer | None = None
) -> Report:
    """Make the token files of a recipe in `data.dir`, unless they are there and up to date.

    `scorer` is what `data.filter` names.

    Memory is that of the shards at hand; what grows with the corpus is a few bytes a document.
    The old files stay whole until the new ones are complete.

    Raises:
        UserError: a source has no file or no document, the corpus is too small for the
            vocabulary or for a validation split, or the disk is full.
        Unfinished: the rest is for other parts of the work, as `data.part` shares it out.
    """
    assert (scorer is None) == (data.filter is None), "data.filter needs its scorer"
    sources = find_sources(data)
    Cleaner(data.cleaning)  # a wrong rule is refused before anything is read
    given = tokenizer_for(tokenizer_config, data) if tokenizer_config.path else None
    fingerprints = given and given.fingerprint, scorer and scorer.fingerprint
    key = inputs_key(tokenizer_config, data, sources, *fingerprints)
    if report := _finished(tokenizer_config, data, key):
        return report
    keys = stage_keys(tokenizer_config, data, sources, fingerprints, SHARD_BYTES)
    with (
        open_workspace(Path(data.dir), keys, _replaced(sources), data.part) as work,
        open_executor(data.executor, data.workers) as perform,
    ):
        names = [source.name for source in sources]
        run = Build(data, names, work, perform, commits_of(sources), scorer and scorer.describe())
        counts = [SourceCounts(name) for name in run.names]
        shards = read_sources(run, sources, given, counts)
        shards, reports = clean_sources(run, shards, counts)
        if given is None and data.dedup != "none" and not scorer:
            _check_size(run, shards, tokenizer_config)
        removed = find_repeats(run, shards)
        if scorer:
            removed = filter_texts(run, shards, removed, scorer, (counts, reports))
        tokenizer = given or _train(run, shards, removed, tokenizer_config)
        tokens = _tokenise(run, shards, removed, tokenizer, counts)
        written = pack(run, tokens)
        if not data.part.startswith("0/"):
            raise Unfinished("all stages are finished; part 0 puts the files in their place")
        return publish(run, tokens, written, key)


def _finished(tokenizer_config: TokenizerConfig, data: DataConfig, key: str) -> Report | None:
    """What stands in the folder, if it is whole and from the same recipe, files and tokenizer."""
    try:
        train, val = (TokenFile.open(Path(data.dir) / name) for name in (TRAIN_NAME, VAL_NAME))
        fingerprint = tokenizer_for(tokenizer_config, data).fingerprint
    except UserError:
        return None  # missing, cut, damaged or of another version: make it again
    for manifest in (train.manifest, val.manifest):
        if not manifest or manifest.inputs != key:
            return None
        if manifest.tokenizer["fingerprint"] != fingerprint:
            return None
    return Report(train.manifest, val.manifest, up_to_date=True)


def _replaced(sources: Sequence[Source]) -> list[tuple[str, str]]:
    """The stages whose files are not kept, each with that which takes its place; the last first."""
    reads = [
        (f"read:{index}", "tokens" if source.reader.tokens else f"clean:{index}")
        for index, source in enumerate(sources)
    ]
    dedup = [("compared", "dedup"), ("pairs", "compared")]
    return [("pack", "write"), ("tokens", "pack"), *dedup, *reads]


def read_sources(
    run: Build, sources: Sequence[Source], given: Tokenizer | None, counts: list[SourceCounts]
) -> list[Shard]:
    """Raw files to shards, one task for each large file or group of small ones."""
    tasks, origins = [], []
    for index, source in enumerate(sources):
        if source.reader.tokens and given is None:
            raise UserError(
                f"data.sources: {source.name} is tokenised already; tokenizer.path must name its "
                "vocabulary"
            )
        for number, (paths, n_bytes) in enumerate(source.groups(SHARD_BYTES)):
            stage, name = f"read:{index}", f"{number:06d}"
            output = run.work.path(stage, name)
            more = run.data.val_fraction if source.reader.examples else given and given.eos_id
            arguments = (source.config, paths, output, SHARD_BYTES, more)
            tasks.append(run.work.task(stage, name, n_bytes, read_files, *arguments))
            origins.append((index, output))
    shards, reasons = [], {}
    for (index, output), result in zip(origins, run.run("read", tasks)):
        if result["reason"]:
            reasons.setdefault(index, result["reason"])
        counts[index].read += sum(result["documents"])
        counts[index].skipped += result["skipped"]
        counts[index].damaged += len(result["damaged"])
        for number, (documents, size) in enumerate(zip(result["documents"], result["n_bytes"])):
            path = Path(f"{output}-{number:06d}")
            shards.append(Shard(index, path, documents, size, not sources[index].reader.tokens))
    for index, found in enumerate(counts):
        if not found.read:
            nothing = "its files hold nothing but blank text; check the path and the reader"
            raise UserError(
                f"data.sources: {found.name} gave no document ({found.skipped:,} records skipped, "
                f"{found.damaged:,} files left out or cut): {reasons.get(index, nothing)}"
            )
    return shards


def clean_sources(
    run: Build, shards: list[Shard], counts: list[SourceCounts], clean: Clean | None = None
) -> tuple[list[Shard], list[CleaningReport]]:
    """Text shards as the rules leave them, with signatures; then the shards of ids, as they are.

    From here on the documents are numbered. `clean` takes the place of `clean_shard`. With the
    shards comes what the rules did to each source.
    """
    texts = [shard for shard in shards if shard.is_text]
    tasks, outputs = [], []
    for shard in texts:
        stage, name = f"clean:{shard.source}", shard.path.name
        outputs.append(run.work.path(stage, name))
        arguments = (shard.path, outputs[-1], run.data.cleaning, run.data.dedup)
        tasks.append(run.work.task(stage, name, shard.n_bytes, clean or clean_shard, *arguments))
    results = run.run("clean", tasks)
    for index in {shard.source for shard in texts}:
        run.work.replace(f"read:{index}", f"clean:{index}")
    reports = [CleaningReport.of(run.data.cleaning) for _ in counts]
    cleaned = []
    for shard, output, result in zip(texts, outputs, results):
        reports[shard.source] += CleaningReport.from_json(result["report"])
        sizes = {"documents": result["documents"], "n_bytes": result["text_bytes"]}
        cleaned.append(dataclasses.replace(shard, path=output, **sizes))
    cleaned += [shard for shard in shards if not shard.is_text]
    for shard in cleaned:
        counts[shard.source].cleaned += shard.documents
    if run.data.cleaning:
        write_cleaning_report(Path(run.data.dir), run.names, reports)
    for found in counts:
        if not found.cleaned:
            raise UserError(
                f"data.sources: data.cleaning dropped all {found.read} documents of {found.name}; "
                f"{Path(run.data.dir) / 'cleaning_report.md'} shows which rules did"
            )
    firsts = [0, *itertools.accumulate(shard.documents for shard in cleaned)]
    numbered = [dataclasses.replace(shard, first=first) for shard, first in zip(cleaned, firsts)]
    return numbered, reports


def find_repeats(run: Build, shards: list[Shard]) -> Path | None:
    """The folder of the list of repeated documents; None if there can be none."""
    texts = [shard for shard in shards if shard.is_text]
    if run.data.dedup == "none" or not texts:
        return None
    sizes = [(shard.documents, shard.n_bytes) for shard in texts]
    return remove_repeats(run, [shard.path for shard in texts], *map(sum, zip(*sizes)))


def _check_size(run: Build, shards: list[Shard], config: TokenizerConfig) -> None:
    """Reject a size that is too small for the characters of the corpus, before the long work.

    Without the repeated documents it may have a few less.
    """
    arguments = (_texts(shards), None, run.data, config)
    n_bytes = sum(n_bytes for *_, n_bytes in _texts(shards))
    task = run.work.task("characters", "done", n_bytes, count_pieces, *arguments)
    (result,) = run.run("characters", [task])
    if config.vocab_size < CERTAIN_SHARE * result["pieces"]:
        raise UserError(too_many_characters(config.vocab_size, result["pieces"]))


def _texts(shards: list[Shard]) -> list[tuple[Path, int, int]]:
    return [(shard.path, shard.first, shard.n_bytes) for shard in shards if shard.is_text]


def _train(
    run: Build, shards: list[Shard], removed: Path | None, config: TokenizerConfig
) -> Tokenizer:
    """A vocabulary trained on the documents that are kept and not held out."""
    model_file = run.work.path("vocabulary", MODEL_NAME)
    arguments = (_texts(shards), removed, run.data, config, model_file)
    n_bytes = sum(n_bytes for *_, n_bytes in _texts(shards))
    task = run.work.task("vocabulary", "done", n_bytes, train_vocabulary, *arguments)
    run.run("vocabulary", [task])
    return load_tokenizer(config.kind, model_file)


def _tokenise(
    run: Build,
    shards: list[Shard],
    removed: Path | None,
    tokenizer: Tokenizer,
    counts: list[SourceCounts],
) -> Tokens:
    """Shards of ids, each shuffled in itself and with its documents as often as their weight is."""
    folder, tasks = run.work.path("tokens", ""), []
    weights = [source.weight for source in run.data.sources]
    n_documents = sum(shard.documents for shard in shards)
    split = Split.of(run.data.val_fraction, sum(shard.n_bytes for shard in shards))
    for number, shard in enumerate(shards):
        weight = weights[shard.source]
        options = Tokenising(tokenizer, split, weight, run.data.seed, n_documents)
        name, output = f"{number:06d}", (folder, number)
        if shard.is_text:
            function, arguments = (
                tokenise_texts,
                (shard.path, shard.first, removed, output, options),
            )
        else:
            function, arguments = tokenise_ids, (shard.path, shard.first, output, options)
        tasks.append(run.work.task("tokens", name, shard.n_bytes, function, *arguments))
    results = run.run("tokens", tasks)
    n_removed = count_removed(removed) if removed else 0
    n_parts = sum(result[key]["documents"] for result in results for key in ("unweighted", "val"))
    n_cut = sum(result["cut"]["documents"] for result in results)
    assert n_parts - n_cut == n_documents - n_removed, "documents kept and tokenised differ"
    for index in {shard.source for shard in shards if not shard.is_text}:
        run.work.replace(f"read:{index}", "tokens")
    kinds = (*SPLITS, "unweighted", "cut", "whole")
    sums = {kind: [SourceCounts(name) for name in run.names] for kind in kinds}
    for shard, result in zip(shards, results):
        for key, of_source in sums.items():
            of_source[shard.source] += SourceCounts("", **result[key])
    for train, val, before, cut, _, found in zip(*sums.values(), counts):
        left = before.documents + val.documents - cut.documents
        found.unique = left + found.filtered
        for name in ("skipped", "damaged", "read", "cleaned", "unique", "filtered"):
            setattr(train, name, getattr(found, name))
        if not found.unique:
            raise UserError(
                f"data.sources: every document of {found.name} repeats one of an earlier source; "
                "take it out of the recipe, or set data.dedup to none"
            )
        if found.filtered and not before.documents:
            raise UserError(
                f"data.filter dropped every document of {found.name}; take it out of the recipe, "
                "raise data.filter.keep, or set data.filter.per_source to true"
            )
    if any(weight != 1 for weight in weights):
        table = format_mixture(run.names, weights, sums["unweighted"], sums["train"])
        print(table, flush=True)
    for line in split_notes(run.data, sums):
        print(line, flush=True)
    return Tokens(tokenizer, folder, len(shards), options.dtype, sums)
