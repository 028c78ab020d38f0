import io
import json
import tarfile
from collections import Counter, defaultdict

import numpy as np

from corpus.poem_corpus import POEMS, archived
from corpus.verse.clusters import louvain
from corpus.verse.derive import count_tones, rhymes_of, tones_of
from corpus.verse.table import BOTH, LEVEL, OBLIQUE


def test_louvain_finds_two_dense_groups():
    weights = np.zeros((7, 7))
    for group in ((0, 2, 4), (1, 3, 5)):
        for a in group:
            for b in group:
                weights[a, b] = 5 * (a != b)
    weights[0, 1] = weights[1, 0] = 1
    groups = louvain(weights)
    assert len({groups[i] for i in (0, 2, 4)}) == len({groups[i] for i in (1, 3, 5)}) == 1
    assert len(set(groups)) == 3  # the node without a link stays alone


def test_tones_are_votes_over_the_patterns():
    votes = defaultdict(Counter)
    for _ in range(9):
        count_tones(["國看，"], ["仄仄，"], votes)
    count_tones(["國看人，"], ["仄平○，"], votes)
    count_tones(["看"], ["平平"], votes)  # does not fit
    count_tones(["看"], None, votes)
    votes["看"][LEVEL] += 5
    assert tones_of(votes) == {"看": BOTH, "国": OBLIQUE}


def test_rhymes_are_groups_of_what_poets_put_together():
    poems = [
        ["一", "二流", "三", "四楼"],
        ["一", "二楼", "三", "四秋"],
        ["一", "二秋", "三", "四流"],
    ]
    poems += [
        ["一", "二山", "三", "四间"],
        ["一", "二闲", "三", "四山"],
        ["一", "二间", "三", "四闲"],
    ]
    rhymes = rhymes_of(2 * poems + [["一", "二罕", "三", "四山"]])
    assert len({rhymes[c] for c in "流楼秋"}) == len({rhymes[c] for c in "山间闲"}) == 1
    assert rhymes["流"] != rhymes["山"] and "罕" not in rhymes


def test_records_of_the_archive(tmp_path):
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as package:
        for name in ("poet.tang.0.json", "authors.tang.json", "error/poet.tang.0.json"):
            data = json.dumps([{"title": name}]).encode()
            entry = tarfile.TarInfo(f"package/dist/quantangshi/{name}")
            entry.size = len(data)
            package.addfile(entry, io.BytesIO(data))
    assert [record["title"] for record in archived(archive, POEMS)] == ["poet.tang.0.json"]
