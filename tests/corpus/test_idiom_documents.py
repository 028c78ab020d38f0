"""The demo's idioms as documents: each entry is a passage of its own."""

import csv

from corpus.idiom_documents import main
from corpus.passages import PassageIndex

WORDS = ("守株待兔", "画蛇添足", "亡羊补牢")


def test_each_entry_is_a_passage(tmp_path, capsys):
    with (tmp_path / "idiom.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["word", "explanation", "derivation", "example"])
        writer.writerows([word, f"说的是{word[2:]}。", "《书》：“。”", "无"] for word in WORDS)
    folder = tmp_path / "documents"
    assert main([str(folder), "--raw", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"wrote 3 entries to {folder / 'idioms.txt'}\n"
    index = PassageIndex.open(folder)
    assert len(index) == 3
    for number, word in enumerate(WORDS, 1):
        (best,) = index.search(f"解释成语：{word}", 1)
        assert (best.number, best.text) == (number, f"{word}：说的是{word[2:]}。")
