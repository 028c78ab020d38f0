"""What a prompt asks for: a poem in a form, under a title."""

import re
from dataclasses import dataclass

from corpus.verse.forms import FORMS, Form, split_lines
from rewards.answer import Answer

ASKED = re.compile(rf"({'|'.join(FORMS)})[^：]*：(.*)")
TITLE_WORDS = set("其一二三四五六七八九十百首次韵和诗上下 ")
"""Characters of titles that say nothing about what a poem is about."""


@dataclass(frozen=True)
class Request:
    """A form and a title, and the lines that were answered."""

    form: Form
    title: str
    lines: list[str]

    @property
    def fits(self) -> bool:
        """Whether the lines have the number and the lengths of the form."""
        return self.form.fits(self.lines)

    @property
    def rhymes(self) -> list[str]:
        """The last characters of the lines that rhyme."""
        return [line[-1] for line in self.lines[1::2]]

    @property
    def text(self) -> str:
        """The characters without punctuation."""
        return "".join(self.lines)


def request_of(answer: Answer) -> Request | None:
    """Form and title from the key, or from the prompt where they stand in it; None without."""
    form, title = FORMS.get(answer.key.get("form", "")), answer.key.get("title", "")
    if form is None:
        found = ASKED.search(answer.prompt)
        if not found:
            return None
        form, title = FORMS[found[1]], found[2].strip()
    return Request(form, title, split_lines(answer.completion))
