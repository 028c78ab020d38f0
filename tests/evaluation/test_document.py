"""One report in two forms."""

import re
from html.parser import HTMLParser

import pytest

from evaluation.document import Document

TEXT = "低头*思*故乡。\n\n# 不是标题 <b>"


@pytest.fixture
def document(tmp_path):
    (tmp_path / "loss.png").write_bytes(b"\x89PNG\r\n")
    document = Document("演示: <script>")
    document.heading("第一")
    document.paragraph("**2.281** & more")
    document.bullets(["a", "b"])
    document.table(
        ("名", "数", "无"), [("甲|<b>", "1,234", "—"), ("乙\n丙", "45.0% (38.3 to 51.9)", "—")]
    )
    document.verbatim(TEXT)
    document.figure("loss.png", "losses")
    return document


def test_markdown(document):
    text = document.markdown()
    assert text.startswith("# 演示: <script>\n\n## 第一\n\n**2.281** & more\n\n- a\n- b\n\n")
    assert "| 名 | 数 | 无 |\n| --- | --: | --- |\n| 甲\\|&lt;b> | 1,234 | — |\n" in text
    assert "| 乙<br>丙 | 45.0% (38.3 to 51.9) | — |" in text
    assert "    低头*思*故乡。\n    \n    # 不是标题 <b>\n\n![losses](loss.png)\n" in text


def test_the_page_needs_no_other_file(document, tmp_path):
    page = document.html(tmp_path)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources == ["data:image/png;base64,iVBORw0K"]
    assert "http" not in page and "url(" not in page and "@import" not in page


def test_the_page_shows_text_as_it_is(document, tmp_path):
    page = document.html(tmp_path)
    assert "<h1>演示: &lt;script&gt;</h1>" in page and "<b>2.281</b> &amp; more" in page
    assert f"<pre>{TEXT.replace('<b>', '&lt;b&gt;')}</pre>" in page
    assert '<td class="number">1,234</td>' in page and "<td>甲|&lt;b&gt;</td>" in page


def test_every_tag_is_closed(document, tmp_path):
    class Balance(HTMLParser):
        stack: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img", "br"):
                self.stack.append(tag)

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    balance = Balance()
    balance.feed(document.html(tmp_path))
    assert balance.stack == []
