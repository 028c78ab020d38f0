import os

import pytest

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.matching import matching_files
from tokenizer.config import TokenizerConfig


@pytest.fixture
def matches(tmp_path, monkeypatch):
    """Names that match a pattern among files made first: `matches("*.txt", "a.txt", "b.txt")`."""
    monkeypatch.chdir(tmp_path)

    def run(pattern, *names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")
        found = [str(path) for path in matching_files(pattern)]
        absolute = matching_files(str(tmp_path / pattern))
        assert [str(path.relative_to(tmp_path)) for path in absolute] == found
        return found

    return run


def test_order_and_a_name_that_is_no_pattern(matches):
    names = ["b.txt", "a.txt", "c[1].txt"]
    assert matches("*.txt", *names) == ["a.txt", "b.txt", "c[1].txt"]
    assert matches("c[1].txt") == ["c[1].txt"]
    assert matches("[ab].txt") == ["a.txt", "b.txt"]
    assert matches("no-*") == matches("gone") == []
    assert matching_files("") == []


def test_folders_of_any_depth_without_hidden_files(matches):
    names = ["a.json", "x/b.json", "x/y/z/c.json", ".cache/d.json", "x/._b.json", "x/e.txt"]
    assert matches("**/*.json", *names) == ["a.json", "x/b.json", "x/y/z/c.json"]
    assert matches("x/**") == ["x/b.json", "x/e.txt", "x/y/z/c.json"]
    assert matches(".cache/*") == [".cache/d.json"]
    with pytest.raises(UserError, match=r"path 'x/a\*\*' is not valid"):
        matching_files("x/a**")


def test_loop_of_links_ends_and_no_file_is_read_twice(matches, tmp_path):
    names = ["a.txt", "x/b.txt", "x/y/c.txt"]
    assert matches("**/*.txt", *names) == names
    for link, target in [("x/up", ".."), ("x/y/up", "../.."), ("self", "."), ("loop", "loop")]:
        os.symlink(target, tmp_path / link)
    os.symlink("a.txt", tmp_path / "link.txt")
    os.symlink("gone.txt", tmp_path / "broken.txt")
    assert matches("**/*.txt") == names
    assert matches("*/*.txt") == ["self/a.txt", "x/b.txt"]
    assert matches("x/up/x/up/*.txt") == ["x/up/x/up/a.txt"]


def test_linked_folder_is_entered_where_the_pattern_names_it(matches, tmp_path):
    assert matches("disk/*.txt", "disk/a.txt") == ["disk/a.txt"]
    os.symlink("disk", tmp_path / "corpora")
    assert matches("corpora/**/*.txt") == ["corpora/a.txt"]


def test_brackets_in_the_name_of_a_folder_are_taken_literally(matches):
    names = ["[公版] 书/a.txt", "[公版] 书/x/b[1].txt", "a/[1]/c.txt"]
    assert matches("[公版] 书/*.txt", *names) == names[:1]
    assert matches("[公版] 书/**/*.txt") == names[:2]
    assert matches("[公版] 书/x/b[1].txt") == names[1:2]
    assert matches("a/[1]/[bc].txt") == names[2:]


def test_a_folder_is_named(matches):
    matches("*", "books/a.txt", "books/x/b.txt", "books/c.md")
    with pytest.raises(UserError, match=r"books is a folder; .*, such as books/\*\.txt"):
        matching_files("books")


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/xiaoming")
    assert SourceConfig("txt", "~/books/*.txt").path == "/home/xiaoming/books/*.txt"
    assert DataConfig("~/data").dir == "/home/xiaoming/data"
    assert TokenizerConfig(path="~/t.model").path == "/home/xiaoming/t.model"
