"""Tasks made from the poems of Tang and Song: write a poem, answer a line, name the prosody.

A poem that pretraining held out is held out here too. Only poems that keep the rules of tones and
rhyme are examples, so that fine-tuning shows the rules more purely than the corpus does.
"""

from collections.abc import Callable, Iterator

from chat.messages import ASSISTANT, USER, Message
from corpus.config import SourceConfig
from corpus.example import Example
from corpus.idiom_readers import draw, pick
from corpus.input_file import InputFile
from corpus.poem_corpus import fetch_poems
from corpus.poem_readers import Poem, heading, parse_poem, read_poems, title_in
from corpus.registry import reader
from corpus.verse.forms import FORMS
from corpus.verse.prosody import scan
from corpus.verse.table import BOTH, LEVEL, CharacterTable, character_table

WRITE, FOLLOW, COUPLET, PROSODY = (
    "写一首{}，题目：{}",
    "续写下句：{}，",
    "对下联：{}",
    "这首诗的格律？\n{}",
)


@reader("poem_dialogues", fetch=fetch_poems, examples="sft")
def read_dialogues(file: InputFile, source: SourceConfig, val_fraction: float) -> Iterator[Example]:
    """One task from each poem that keeps the rules: to write it, in more than half of the cases.

    The others: the line that follows, the lower line of a couplet of a 律诗, its prosody named.
    """
    table = character_table()
    for poem in read_poems(file, source.encoding):
        kept = scan(poem.lines, poem.form, table)
        if kept.tones and kept.rhyme:
            question, answer = _task_of(poem)(poem)
            messages = [Message(USER, question), Message(ASSISTANT, answer)]
            yield Example(messages, held_out=poem.is_held_out(val_fraction))


@reader("poem_title_task", fetch=fetch_poems, examples="task")
def read_title_tasks(
    file: InputFile, source: SourceConfig, val_fraction: float
) -> Iterator[Example]:
    """Titles to write a poem on, none of a poem that was trained on; `field` names the forms.

    Training asks for titles of poems in other than regular forms, and validation for those of
    poems that were held out, in their own form.
    """
    forms = _forms_of(source)
    trained, held_out, others = set(), {}, {}
    for line in file.lines(source.encoding):
        poem = parse_poem(line)
        if not isinstance(poem, Poem):
            others[title_in(line)] = None
        elif not poem.is_held_out(val_fraction):
            trained.add(poem.title)
        else:
            held_out.setdefault(poem.title, poem.form.name)
    for title, form in held_out.items():
        if title not in trained and form in forms:
            yield _request(form, title, held_out=True)
    for title in others:
        if title and title not in trained and title not in held_out:
            yield _request(pick(forms, "form", title), title, held_out=False)


def prosody_of(poem: Poem, table: CharacterTable) -> str:
    """The prosody in words: the form, how its first line begins, its rhyme characters."""
    second = poem.lines[0][1]
    parts = [poem.form.name]
    if table.tones.get(second, BOTH) != BOTH:
        parts.append("平起" if table.tones[second] == LEVEL else "仄起")
    return "，".join([*parts, "韵脚" + "、".join(line[-1] for line in poem.lines[1::2])])


def _request(form: str, title: str, held_out: bool) -> Example:
    key = {"task": "poem", "form": form, "title": title, "plain": heading(form, title)}
    return Example([Message(USER, WRITE.format(form, title))], key=key, held_out=held_out)


def _forms_of(source: SourceConfig) -> list[str]:
    names = [source.field] if isinstance(source.field, str) else source.field
    return [name for name in names if name in FORMS] or list(FORMS)


def _task_of(poem: Poem) -> Callable[[Poem], tuple[str, str]]:
    """The task that a poem is used for: drawn by its text."""
    number = draw("poem", poem.document)
    if number < 0.7:
        return _write
    if number < 0.85:
        return _couplet if poem.form.n_lines == 8 else _follow
    return _prosody


def _write(poem: Poem) -> tuple[str, str]:
    return WRITE.format(poem.form.name, poem.title), poem.text


def _follow(poem: Poem) -> tuple[str, str]:
    first, second = poem.lines[2:4]
    return FOLLOW.format(first), second


def _couplet(poem: Poem) -> tuple[str, str]:
    """One of the two couplets in the middle, which are parallel."""
    begin = 2 if draw("couplet", poem.document) < 0.5 else 4
    return COUPLET.format(poem.lines[begin]), poem.lines[begin + 1]


def _prosody(poem: Poem) -> tuple[str, str]:
    return PROSODY.format(poem.text), prosody_of(poem, character_table())
