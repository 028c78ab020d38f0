"""A style as a Jinja template, for programs that turn messages into text themselves."""

from collections.abc import Sequence

from chat.messages import ROLES
from chat.styles import Style


def jinja_template(style: Style, pieces: Sequence[str], generation: bool) -> str:
    """The template. Reserved `pieces` typed into a message are parted by a space.

    `generation` puts answers into the blocks of that name, by which transformers makes a mask of
    the assistant's tokens.
    """
    parted = "".join(
        f" | replace({_quoted(piece)}, {_quoted(f'{piece[0]} {piece[1:]}')})" for piece in pieces
    )
    opening, lead, end = style.answer
    begin, close = ("{% generation %}", "{% endgeneration %}") if generation else ("", "")
    branches = "".join(
        f"{{%- elif message['role'] == '{role}' -%}}{_write(before, 'content', after)}"
        for role, (before, after) in (
            ("system", style.system),
            ("user", style.user),
            ("tool", style.tool),
        )
    )
    return (
        "{%- for message in messages -%}"
        f"{{%- set content = message['content'] | trim{parted} -%}}"
        "{%- if message['role'] == 'assistant' -%}"
        f"{_write(opening)}{begin}{_write(lead, 'content', end)}{close}"
        f"{branches}"
        "{%- else -%}{{- raise_exception('unknown role; the roles are "
        f"{', '.join(ROLES)}"
        "') -}}{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        f"{_write(opening)}"
        + (
            "{%- elif messages[-1]['role'] == 'assistant' -%}" + _write(style.finish)
            if style.finish
            else ""
        )
        + "{%- endif -%}"
    )


def _write(*texts: str) -> str:
    """Statements that write texts, and the variable content where it is named."""
    terms = [text if text == "content" else _quoted(text) for text in texts if text]
    return f"{{{{- {' + '.join(terms)} -}}}}" if terms else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
