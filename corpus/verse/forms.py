"""The regular forms of classical verse, and poems taken apart into their lines."""

import re
from dataclasses import dataclass

SEPARATORS = re.compile(r"[，。？！；：、\s]+")
HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]+")


@dataclass(frozen=True)
class Form:
    """A regular form: so many lines of so many characters each."""

    name: str
    line_chars: int
    n_lines: int

    def fits(self, lines: list[str]) -> bool:
        """Whether lines have the number and the lengths of the form, and nothing but characters."""
        return len(lines) == self.n_lines and all(
            len(line) == self.line_chars and HAN.fullmatch(line) for line in lines
        )


FORMS = {
    form.name: form
    for form in (
        Form("五言绝句", 5, 4),
        Form("七言绝句", 7, 4),
        Form("五言律诗", 5, 8),
        Form("七言律诗", 7, 8),
    )
}


def split_lines(text: str) -> list[str]:
    """The lines of a poem without their punctuation."""
    return [line for line in SEPARATORS.split(text) if line]


def join_lines(lines: list[str]) -> str:
    """The poem with a comma after each first and a full stop after each second line of a pair."""
    return "".join(line + "，。"[number % 2] for number, line in enumerate(lines))


def form_of(lines: list[str]) -> Form | None:
    """The form that lines fit, or None."""
    return next((form for form in FORMS.values() if form.fits(lines)), None)
