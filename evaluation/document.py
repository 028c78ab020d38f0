"""A report written once, and shown as Markdown or as a web page that needs no other file."""

import base64
import html
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

STYLE = """
body { max-width: 60em; margin: 2em auto; padding: 0 1em; line-height: 1.55; color: #222;
  font-family: "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "Segoe UI", sans-serif; }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccc; padding: 0.25em 0.7em; text-align: left; vertical-align: top; }
th { background: #f3f3f3; }
td.number { text-align: right; white-space: nowrap; }
pre { background: #f7f7f4; border-left: 3px solid #bbb; padding: 0.7em 1em; white-space: pre-wrap;
  font-family: inherit; }
img { max-width: 100%; }
"""
NUMBER = re.compile(r"[-\d.,:%± ()to–]+|—")


class Document:
    """Blocks one after another; text may hold **bold**, and nothing else is markup in a page."""

    def __init__(self, title: str):
        self.title = title
        self.markdown_blocks: list[str] = [f"# {title}"]
        self.html_blocks: list[str] = [f"<h1>{_inline(title)}</h1>"]
        self.figures: list[str] = []

    def heading(self, text: str, level: int = 2) -> None:
        """Begin a section."""
        self._add(f"{'#' * level} {text}", f"<h{level}>{_inline(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """A paragraph of prose."""
        self._add(text, f"<p>{_inline(text)}</p>")

    def bullets(self, lines: Iterable[str]) -> None:
        """A list."""
        lines = list(lines)
        items = "\n".join(f"<li>{_inline(line)}</li>" for line in lines)
        self._add("\n".join(f"- {line}" for line in lines), f"<ul>\n{items}\n</ul>")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; line breaks and bars in cells stay what they are."""
        rows = [list(row) for row in rows]
        marks = [
            "--:" if _are_numbers([row[i] for row in rows]) else "---" for i in range(len(header))
        ]
        lines = [header, marks, *rows]
        markdown = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        head = "".join(f"<th>{_inline(cell)}</th>" for cell in header)
        body = "\n".join(
            "<tr>" + "".join(_html_cell(cell, mark) for cell, mark in zip(row, marks)) + "</tr>"
            for row in rows
        )
        self._add(markdown, f"<table>\n<tr>{head}</tr>\n{body}\n</table>")

    def verbatim(self, text: str) -> None:
        """Text as a model wrote it."""
        indented = textwrap.indent(text, "    ", lambda line: True)
        self._add(indented, f"<pre>{html.escape(text)}</pre>")

    def figure(self, name: str, caption: str) -> None:
        """A PNG that stands beside the report."""
        self.figures.append(name)
        alt = html.escape(caption, quote=True)
        self._add(f"![{caption}]({name})", f'<img alt="{alt}" src="{_placeholder(name)}">')

    def markdown(self) -> str:
        """The report as Markdown; figures are links."""
        return "\n\n".join(self.markdown_blocks) + "\n"

    def html(self, folder: Path) -> str:
        """The report as one page, the figures of `folder` within it."""
        body = "\n".join(self.html_blocks)
        for name in self.figures:
            data = base64.b64encode((folder / name).read_bytes()).decode("ascii")
            body = body.replace(_placeholder(name), f"data:image/png;base64,{data}")
        return (
            '<!DOCTYPE html>\n<html lang="zh">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
            f"<body>\n{body}\n</body>\n</html>\n"
        )

    def _add(self, markdown: str, page: str) -> None:
        self.markdown_blocks.append(markdown)
        self.html_blocks.append(page)


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(map(NUMBER.fullmatch, cells)) and any(map(str.isdigit, "".join(cells)))


def _placeholder(name: str) -> str:
    return f"figure:{html.escape(name, quote=True)}"


def _inline(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text))


def _cell(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|").replace("\n", "<br>")


def _html_cell(text: str, mark: str) -> str:
    shown = _inline(text).replace("\n", "<br>")
    return f'<td class="number">{shown}</td>' if mark == "--:" else f"<td>{shown}</td>"
