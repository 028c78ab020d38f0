from dataclasses import replace

from corpus.config import SourceConfig
from corpus.pipeline import build
from corpus.sources import find_sources


def test_links_that_lead_in_circles_do_not_repeat_files(make_data, tokenizer_config, tmp_path):
    data = make_data(100)
    (tmp_path / "loop").symlink_to(tmp_path)
    source = SourceConfig("jsonl", str(tmp_path / "**" / "raw.jsonl"))
    report = build(tokenizer_config, replace(data, sources=[source], dedup="none"))
    assert report.train.sources[0].read == 100


def test_small_files_are_read_together_and_large_ones_alone(make_data, tmp_path):
    for name, size in (("a", 10), ("b", 20), ("c", 100), ("d", 10)):
        (tmp_path / f"{name}.txt").write_text("x" * size)
    data = make_data(1)
    data = replace(data, sources=[SourceConfig("txt", str(tmp_path / "*.txt"))])
    (source,) = find_sources(data)
    groups = [("".join(path.stem for path in paths), size) for paths, size in source.groups(40)]
    assert groups == [("ab", 30), ("c", 100), ("d", 10)]
