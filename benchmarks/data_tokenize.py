"""Tokenising real text: our stage against a bare SentencePiece loop and against the usual script.

All sides read the same documents and use the same vocabulary of 8,000 pieces.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import sentencepiece

from benchmarks.real_text import docstrings, people_daily, reviews
from corpus.executors import Task, open_executor
from corpus.ragged import write_texts
from corpus.split import Split
from corpus.stages import Tokenising, tokenise_texts
from tokenizer.tokenizer import MODEL_NAME, load_tokenizer
from tokenizer.train import train_sentencepiece

VOCAB_SIZE = 8_000
TRAINING_DOCUMENTS = 20_000
SHARD_CHARS = 2_000_000
# The text is read several times over, so that the start of a second process, a second or two of a
# run that takes hours, weighs little; the usual script is slow and reads a part of it.
PASSES = 4
USUAL_SHARE = 10


class Corpus:
    """Real documents, a vocabulary trained on some of them, and the documents as shards."""

    def __init__(self, folder: Path, documents: Sequence[str]):
        """Train the vocabulary and write the shards."""
        self.folder = folder
        self.documents = documents
        self.model_file = folder / MODEL_NAME
        step = max(1, len(documents) // TRAINING_DOCUMENTS)
        train_sentencepiece(documents[::step], VOCAB_SIZE, self.model_file)
        tokenizer, total = load_tokenizer("sentencepiece", self.model_file), PASSES * len(documents)
        split = Split.of(0.005, PASSES * sum(len(text.encode("utf-8")) for text in documents))
        self.options = Tokenising(tokenizer, split, weight=1.0, seed=0, n_documents=total)
        self.shards: list[tuple[Path, int, int]] = []
        ends = np.cumsum([len(text) for text in documents]) // SHARD_CHARS
        numbered = zip(ends.tolist(), documents)
        for shard, items in itertools.groupby(numbered, key=lambda item: item[0]):
            texts = [text for _, text in items]
            write_texts(folder / f"texts-{shard}", texts)
            self.shards.append((folder / f"texts-{shard}", len(texts), sum(map(len, texts))))

    def tasks(self) -> list[Task]:
        """The tasks of our stage, all of them to be done."""
        tasks, first = [], 0
        output = Path(tempfile.mkdtemp(dir=self.folder))
        for number, (path, count, n_characters) in enumerate(self.shards * PASSES):
            arguments = (path, first, None, (output, number), self.options)
            done = output / f"{number}.json"
            tasks.append(Task(str(number), tokenise_texts, arguments, done, 3 * n_characters))
            first += count
        return tasks


@dataclass(frozen=True)
class Speed:
    """Characters a second: of the clock, and of the processor time of this process."""

    clock: float
    core: float

    @classmethod
    def of(cls, side: Callable[[Corpus], int], corpus: Corpus) -> "Speed":
        """Time one side."""
        clock, core = time.perf_counter(), time.process_time()
        done = side(corpus)
        return cls(done / (time.perf_counter() - clock), done / (time.process_time() - core))


def run_tokenize(rounds: int) -> None:
    """Print how our speed compares, as medians over rounds of the ratios within a round."""
    documents = [*people_daily(), *reviews(), *docstrings()]
    n_characters = sum(map(len, documents))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder), documents)
        sides: dict[str, Callable[[Corpus], int]] = {
            "bare SentencePiece loop": bare_loop,
            "ours, 1 process": lambda corpus: ours(corpus, 1),
            "ours, 2 processes": lambda corpus: ours(corpus, 2),
            "usual script": usual_script,
        }
        rounds_of = [
            {name: Speed.of(side, corpus) for name, side in sides.items()} for _ in range(rounds)
        ]
    print(f"{len(documents):,} documents, {n_characters / 1e6:.1f} M characters, {rounds} rounds")
    for name in sides:
        clock = median(speeds[name].clock for speeds in rounds_of)
        print(f"  {name:24s} {clock / 1e6:6.2f} M characters/s")
    for above, below, kind in (
        ("ours, 1 process", "bare SentencePiece loop", "core"),
        ("ours, 1 process", "usual script", "core"),
        ("ours, 2 processes", "ours, 1 process", "clock"),
    ):
        ratio = median(
            getattr(speeds[above], kind) / getattr(speeds[below], kind) for speeds in rounds_of
        )
        print(f"  {above} to {below}, by the {kind}: {ratio:.2f}")


def bare_loop(corpus: Corpus) -> int:
    """Encode each document and forget it; returns the characters done, as each side does."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(corpus.model_file))
    for _ in range(PASSES):
        for text in corpus.documents:
            pieces.encode(text)
    return PASSES * sum(map(len, corpus.documents))


def ours(corpus: Corpus, workers: int) -> int:
    """The data step's stage: from shards of text to shuffled shards of ids with their counts."""
    with open_executor("process", workers) as perform:
        for _ in perform(corpus.tasks()):
            pass
    return PASSES * sum(map(len, corpus.documents))


def usual_script(corpus: Corpus) -> int:
    """A slow Hugging Face tokenizer, one list for all ids, and np.array at the end."""
    from transformers import LlamaTokenizer

    tokenizer = LlamaTokenizer(str(corpus.model_file), legacy=True)
    ids: list[int] = []
    documents = corpus.documents[::USUAL_SHARE]
    for text in documents:
        ids += tokenizer.encode(text, add_special_tokens=False)
        ids.append(tokenizer.eos_token_id)
    np.array(ids, np.uint16).tofile(corpus.folder / "usual.bin")
    return sum(map(len, documents))
