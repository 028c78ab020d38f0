"""Passages: how documents are cut, what is found, and when an index is built anew."""

import os

import pytest

from chat.messages import Message
from chat.passages import question_of, with_passages
from common.errors import UserError
from corpus.passages import INDEX_NAME, PASSAGE_CHARS, PassageIndex, split_passages, terms

DOCUMENTS = {
    "江河/长江.txt": "长江是中国最长的河流。它发源于唐古拉山。\n\n全长约六千三百公里。",
    "江河/黄河.md": "黄河流经九个省区，因为含沙量大，水色发黄。",
    "python.txt": "Python 3.11 was released in 2022. It is a language.",
    "notes.rst": "长江 is not read from here",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in DOCUMENTS.items():
        path = tmp_path / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "documents"


def test_terms():
    assert terms("长江A1, Über") == ["长", "江", "长江", "a1", "über"]
    assert terms("，。 !") == []


def test_passages_are_whole_sentences():
    sentence = "学" * 59 + "。"
    text = sentence * 4 + "\n\n" + "短。" + "长" * 300 + "！”" + "后。"
    found = list(split_passages(text))
    assert found == [sentence * 3, sentence, "短。", "长" * 300 + "！”", "后。"]
    assert all(len(passage) <= PASSAGE_CHARS or passage.count("！") for passage in found)
    assert list(split_passages(" \n\n \n")) == []


def test_what_fits_is_found(folder):
    index = PassageIndex.open(folder)
    assert len(index) == 4
    best = index.search("黄河的水为什么是黄色的？", 2)
    assert (best[0].document, best[0].number) == ("江河/黄河.md", 1)
    assert index.search("which LANGUAGE", 1)[0].document == "python.txt"
    assert [p.number for p in index.search("长江全长多少公里", 5)][:2] in ([1, 2], [2, 1])
    assert index.search("，？", 5) == [] == index.search("螃蟹", 5)
    assert index.search('" OR near*(', 5) == []


def test_common_terms_count_only_where_the_others_find_too_little(folder, monkeypatch):
    assert PassageIndex.open(folder).common == frozenset()
    (folder / INDEX_NAME).unlink()
    monkeypatch.setattr("corpus.passages.MANY", 1)
    index = PassageIndex.open(folder)
    assert index.common == {*"长河流发", "河流"}
    assert [passage.document for passage in index.search("黄河", 1)] == ["江河/黄河.md"]
    assert len(index.search("黄河", 5)) == 2, "河 stands in two passages"
    assert [passage.number for passage in index.search("长", 5)] in ([1, 2], [2, 1])


def test_the_index_is_kept_until_a_file_changes(folder):
    PassageIndex.open(folder)
    file = folder / INDEX_NAME
    before = file.stat().st_mtime_ns
    PassageIndex.open(folder)
    assert file.stat().st_mtime_ns == before
    (folder / "new.txt").write_text("螃蟹横行。", encoding="utf-8")
    assert PassageIndex.open(folder).search("螃蟹", 1)[0].document == "new.txt"
    (folder / "new.txt").unlink()
    assert PassageIndex.open(folder).search("螃蟹", 1) == []
    file.write_bytes(b"no index")
    assert len(PassageIndex.open(folder)) == 4
    assert os.listdir(folder).count(INDEX_NAME) == 1
    assert not [name for name in os.listdir(folder) if ".tmp" in name]


def test_what_cannot_be_indexed_is_told(tmp_path):
    with pytest.raises(UserError, match="is not a folder of documents"):
        PassageIndex.open(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no document; put .txt or .md files there"):
        PassageIndex.open(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="a.txt is not UTF-8 text"):
        PassageIndex.open(tmp_path)
    assert not (tmp_path / INDEX_NAME).exists()


def test_passages_stand_in_the_system_message():
    question = [Message("user", "甲"), Message("assistant", "乙"), Message("user", "丙")]
    assert question_of(question) == "丙"
    first, *rest = with_passages(question, ["一\n二", "三"])
    assert (first.role, first.content) == (
        "system",
        "资料：\n[1] 一 二\n[2] 三",
    ) and rest == question
    system = Message("system", "简短")
    assert with_passages([system, *question], ["三"])[0].content == "简短\n资料：\n[1] 三"
    assert with_passages(question, []) == question
