"""Each published corpus, on lines in the layout that its page describes."""

import gzip
import io
import json

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet


def jsonl(*records):
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()


def json_list(*records):
    return json.dumps(records, ensure_ascii=False, indent=2).encode()


def parquet_table(*records):
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(records)), file)
    return file.getvalue()


BAIKE = {
    "title": "红烧豆腐",
    "summary": "红烧豆腐是一道家常菜。[1]",
    "sections": [
        {"title": "做法", "content": "豆腐切块，下锅煎黄。"},
        {"title": "营养", "content": None},
    ],
    "tags": ["食品", "菜谱"],
    "url": "http://baike.example/item/1",
}
WUDAO = {
    "id": 2,
    "uniqueKey": "074c",
    "titleUkey": "231a",
    "dataType": "百科",
    "title": "早睡的好处",
    "content": "早睡早起身体好。",
}
QUESTION = {"title": "冬天进补好吗？", "desc": "", "category": "生活", "qid": "qid_25"}
WEB_QUESTION = {"title": "机器人会写小说吗？", "topic": "机器人", "star": 3, "qid": 65}
STORY = {
    "story": "Lily and Ben are friends.",
    "instruction": {"prompt:": "Write a story", "words": ["hang"], "features": ["Dialogue"]},
    "summary": "Two friends.",
    "source": "GPT-4",
    "story_zh": "莉莉和本是朋友。",
}
NEWS = {
    "news_id": "610",
    "keywords": "门票",
    "title": "故宫淡季门票四十元",
    "desc": "近日有网友说。",
    "source": "新华网",
    "time": "03-22 12:00",
    "content": "近日有网友说，门票四十元。",
}
QA = {"instruction": "血热的临床表现是什么？", "input": "", "output": "口干，发热。"}
ZHIHU = {
    "INSTRUCTION": "怎样学游泳？",
    "RESPONSE": "先学换气。",
    "SOURCE": "Zhihu",
    "METADATA": "{}",
}

CASES = [
    (
        "wikipedia_cn",
        json_list(
            {"completion": "昭通机场是云南的机场。", "source": "wikipedia.zh2307"},
            {"completion": "他是作家。\n生于1928年。", "source": "wikipedia.zh2307"},
        ),
        ["昭通机场是云南的机场。", "他是作家。\n生于1928年。"],
    ),
    (
        "baidu_baike",
        jsonl(
            BAIKE,
            {"title": "空", "summary": None, "sections": None, "tags": [], "url": ""},
            {"title": None, "summary": None, "sections": [], "tags": [], "url": ""},
            {"title": "缺"},
            {"title": 5, "sections": []},
            ["broken"],
        ),
        ["红烧豆腐\n红烧豆腐是一道家常菜。[1]\n做法\n豆腐切块，下锅煎黄。\n营养", "空", ""],
    ),
    ("c4_zh", jsonl({"text": "网页。", "timestamp": "2019-04-21", "url": "http://x"}), ["网页。"]),
    (
        "wudao",
        json_list(WUDAO, {**WUDAO, "title": ""}),
        ["早睡的好处\n早睡早起身体好。", "早睡早起身体好。"],
    ),
    ("medical", jsonl({"text": "牙的发育，从胚胎开始。"}), ["牙的发育，从胚胎开始。"]),
    ("medical", jsonl(QA, QA["output"]), ["血热的临床表现是什么？\n口干，发热。", "口干，发热。"]),
    ("zhihu_kol", parquet_table(ZHIHU), ["怎样学游泳？\n先学换气。"]),
    ("tigerbot", parquet_table(WUDAO), ["早睡早起身体好。"]),
    ("webnovel", jsonl({"title": "书", "chapter": "第一章", "text": "夜深了。"}), ["夜深了。"]),
    ("tinystories_zh", jsonl(STORY), ["莉莉和本是朋友。"]),
    (
        "baike_qa2019",
        jsonl(
            {**QUESTION, "answer": "当然好。"},
            {**QUESTION, "desc": QUESTION["title"], "answer": "当然好。"},
            {**QUESTION, "desc": "如题", "answer": "当然好。"},
        ),
        ["冬天进补好吗？\n当然好。"] * 2 + ["冬天进补好吗？\n如题\n当然好。"],
    ),
    ("news2016zh", jsonl(NEWS), ["故宫淡季门票四十元\n近日有网友说，门票四十元。"]),
    (
        "webtext2019zh",
        jsonl({**WEB_QUESTION, "desc": "写得如何？", "content": "还不会。", "answer_id": 5}),
        ["机器人会写小说吗？\n写得如何？\n还不会。"],
    ),
    (
        "cluecorpus",
        "第一篇。\n接着说。\n\n第二篇。\n\n".encode(),
        ["第一篇。\n接着说。", "第二篇。"],
    ),
    (
        "dolma",
        gzip.compress(jsonl({"id": "1", "text": "A page.", "source": "cc", "metadata": {}})),
        ["A page."],
    ),
    (
        "slimpajama",
        zstandard.compress(jsonl({"text": "A page.", "meta": {"redpajama_set_name": "C4"}})),
        ["A page."],
    ),
]
SUFFIXES = {"dolma": ".json.gz", "slimpajama": ".jsonl.zst"}


@pytest.mark.parametrize(("reader", "content", "expected"), CASES, ids=[case[0] for case in CASES])
def test_published_layout(read_raw, reader, content, expected):
    documents, file = read_raw(reader, content, name="raw" + SUFFIXES.get(reader, ""))
    assert documents == expected
    assert file.skipped == (3 if reader == "baidu_baike" else 0)
    assert not file.damaged


def test_the_layout_knows_its_field_better_than_the_recipe(read_raw):
    content = json_list({"completion": "文", "text": "x"})
    assert read_raw("wikipedia_cn", content, field="text")[0] == ["文"]


def test_records_that_are_not_the_layout_are_skipped(read_raw, caplog):
    documents, file = read_raw("medical", jsonl(QA, {"question": "?"}, [1], {"text": 5}))
    assert (len(documents), file.skipped) == (1, 3)
    assert "raw:2 skipped: no text in field instruction or input or output" in caplog.text
