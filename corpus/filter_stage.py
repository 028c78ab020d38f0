"""The stages of the quality filter: score, filter. A trained model says which documents go.

What scores is handed in, because this room knows no models. Documents that are held out stay, so
that recipes with and without a filter are measured on the same text.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from corpus.cleaning.report import CleaningReport, RuleCounts
from corpus.config import FilterConfig
from corpus.dedup.outcomes import REMOVED_NAME
from corpus.executors import in_process
from corpus.manifest import SourceCounts
from corpus.ragged import Ragged
from corpus.report import format_filter, write_cleaning_report
from corpus.split import Split
from corpus.stages import BATCH_BYTES, TEXT, Shard, batches, kept_positions
from corpus.workspace import Build

FILTERED_NAME = "filtered.jsonl"
HEAD_CHARS = 40
DECIMALS = 6
"""Of a score; what is equal up to here is a tie, which the order of the documents decides."""
REMOVAL = np.dtype([("document", np.int64)])


class TextScorer(Protocol):
    """What finds documents good or bad. It is sent to where the work is done, so it is small."""

    fingerprint: str
    """changes when the scores may change"""
    unit: str
    """what a score is called, such as bits_per_byte"""
    lowest_is_best: bool

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Scores (N,) float64 of texts, all finite; each is that of the text alone."""

    def describe(self) -> dict[str, Any]:
        """What made the scores, for the manifest."""


@dataclass(frozen=True)
class Choice:
    """What the choice between documents depends on beside them."""

    config: FilterConfig
    split: Split
    names: list[str]
    """of the sources"""
    unit: str
    lowest_is_best: bool


def filter_texts(
    run: Build,
    shards: Sequence[Shard],
    removed: Path | None,
    scorer: TextScorer,
    records: tuple[Sequence[SourceCounts], list[CleaningReport]],
) -> Path:
    """Score the documents of cleaned shards, and list those that go.

    Returns a folder of removals that holds those in the folder `removed` too. `records`, counts and
    cleaning report of each source, is completed, and the report written.

    Raises:
        UserError: the model cannot be used, or the disk is full.
    """
    work, config, texts = run.work, run.data.filter, [shard for shard in shards if shard.is_text]
    if not texts:
        raise UserError("data.filter scores text, but all sources are tokenised; set it to null")
    tasks, scores = [], []
    for shard in texts:
        stage, name = f"score:{shard.source}", shard.path.name
        scores.append(Path(f"{work.path(stage, name)}.npy"))
        arguments = (shard.path, scores[-1], scorer)
        tasks.append(work.task(stage, name, shard.n_bytes, score_shard, *arguments))
    # A network computes on all cores of a machine by itself.
    run.run("score", tasks, run.perform if run.data.executor == "ray" else in_process)
    split = Split.of(run.data.val_fraction, sum(shard.n_bytes for shard in shards))
    choice = Choice(config, split, run.names, scorer.unit, scorer.lowest_is_best)
    folder, n_bytes = work.path("filter", ""), sum(shard.n_bytes for shard in texts)
    arguments = (texts, scores, removed, choice, folder)
    (result,) = run.run("filter", [work.task("filter", "done", n_bytes, drop_worst, *arguments)])
    counts, reports = records
    found = [RuleCounts(**rule) for rule in result["rules"]]
    for source, rule in enumerate(found):
        counts[source].filtered = rule.dropped
        reports[source].rules.append(rule)
    write_cleaning_report(Path(run.data.dir), run.names, reports)
    print(format_filter(run.names, found, result["scores"], scorer.unit), flush=True)
    return folder


def score_shard(texts: Path, output: Path, scorer: TextScorer) -> dict[str, Any]:
    """Write the scores of a shard's documents, (N,) float64."""
    shard = Ragged(texts, TEXT)
    scores = [np.empty(0)]
    for contents, _ in batches(shard.contents(range(len(shard))), BATCH_BYTES):
        scores.append(scorer.score([content.decode("utf-8") for content in contents]))
    with atomic_open(output) as file:
        np.save(file, np.concatenate(scores).round(DECIMALS))
    return {"documents": len(shard)}


def drop_worst(
    shards: Sequence[Shard],
    scores: Sequence[Path],
    removed: Path | None,
    choice: Choice,
    folder: Path,
) -> dict[str, Any]:
    """Write the removals and the list for people into `folder`; returns counts and scores.

    Of n documents of a source, or of all, round(keep n) stay and at least one; of equal ones the
    first do. `removed` is the folder of those that are gone already.
    """
    places = [_candidates(shard, removed, choice.split) for shard in shards]
    sources = np.concatenate([np.full(len(p), s.source) for p, s in zip(places, shards)])
    numbers = np.concatenate([p + shard.first for p, shard in zip(places, shards)])
    known = np.concatenate([np.load(path)[p] for p, path in zip(places, scores)])
    dropped = np.zeros(len(numbers), bool)
    for group in np.unique(sources) if choice.config.per_source else [None]:
        rows = np.flatnonzero(sources == group) if group is not None else np.arange(len(numbers))
        cost = known[rows] if choice.lowest_is_best else -known[rows]
        order = rows[np.lexsort((numbers[rows], cost))]
        dropped[order[max(1, round(choice.config.keep * len(rows))) :]] = True
    removals = numbers[dropped].astype(REMOVAL)
    if removed:
        gone = np.load(removed / REMOVED_NAME, mmap_mode="r")["document"]
        removals = np.sort(np.concatenate([gone.astype(REMOVAL), removals]))
    with atomic_open(folder / REMOVED_NAME) as file:
        np.save(file, removals)
    name = f"filter kind={choice.config.kind} run={choice.config.run} keep={choice.config.keep}"
    rules, begins = [RuleCounts(name) for _ in choice.names], np.cumsum([0, *map(len, places)])
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with atomic_open(folder / FILTERED_NAME, "w") as file:
        for shard, positions, begin in zip(shards, places, begins.tolist()):
            texts = Ragged(shard.path, TEXT)
            for row, index in enumerate(positions.tolist(), begin):
                text = texts.text(index)
                rules[shard.source].count(text, None if dropped[row] else text)
                if dropped[row]:
                    line = {choice.unit: known[row], "source": choice.names[shard.source]}
                    place = {"shard": shard.path.name, "index": index, "begins": text[:HEAD_CHARS]}
                    file.write(encode(line | place) + "\n")
    kept = [known[(sources == source) & ~dropped] for source in range(len(choice.names))]
    worst = np.max if choice.lowest_is_best else np.min
    return {
        "rules": [vars(rule) for rule in rules],
        "scores": [[float(np.median(s)), float(worst(s))] if len(s) else [] for s in kept],
    }


def _candidates(shard: Shard, removed: Path | None, split: Split) -> np.ndarray:
    """Positions of the documents of a shard that may go: those there that training reads."""
    texts = Ragged(shard.path, TEXT)
    kept = kept_positions(removed, shard.first, len(texts))
    trained = [
        not all(held_out for _, held_out in split.parts(content))
        for content in texts.contents(kept.tolist())
    ]
    return kept[np.array(trained, bool)]
