"""The benchmark of the index of documents, on a few idioms."""

import csv

from benchmarks.passages import measure

WORDS = ("守株待兔", "画蛇添足", "亡羊补牢")


def test_all_are_found_by_word_and_by_meaning(tmp_path):
    table = tmp_path / "idiom.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["word", "explanation", "derivation", "example"])
        for word in WORDS:
            row = [word, f"说的是{word[2:]}", f"《书》：“{word[2:]}。”", f"他～，{word[:2]}。"]
            writer.writerow(row)
        writer.writerow(["一心一意", "无", "无", "无"])
    for by_meaning in (False, True):
        line = measure(table, by_meaning, share=1)
        assert "3 questions, 3 passages: recall@1 1.000, recall@5 1.000" in line
