import json

import numpy as np
import pytest

from corpus.dedup.documents import DedupShard
from corpus.dedup.find import find_duplicates
from corpus.dedup.outcomes import REMOVED_NAME
from corpus.dedup.report import REPORT_NAME
from corpus.dedup.signatures import sign_shard
from corpus.ragged import write_texts


class Run:
    """One deduplication of a list of texts, cut into shards of a given size."""

    def __init__(self, folder, texts, size=100, mode="near", threshold=0.6):
        self.shards = []
        for begin in range(0, len(texts), size):
            shard = DedupShard(folder / f"texts-{begin}", folder / f"signatures-{begin}")
            write_texts(shard.texts, texts[begin : begin + size])
            sign_shard(shard.texts, shard.signatures, near=mode == "near")
            self.shards.append(shard)
        self.folder = folder / "dedup"
        self.counts = find_duplicates(self.shards, mode, threshold, self.folder)
        self.removed = np.load(self.folder / REMOVED_NAME)

    @property
    def lost_to(self):
        return {int(row["document"]): int(row["kept"]) for row in self.removed}

    def report(self):
        lines = (self.folder / REPORT_NAME).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def dedup(tmp_path_factory):
    """Deduplicate texts: `dedup(texts, size=100, mode="near", threshold=0.6)`, a `Run`."""
    return lambda texts, **options: Run(tmp_path_factory.mktemp("run"), texts, **options)
