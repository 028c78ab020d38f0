"""The rule that takes HTML out of a text."""

import html
import re

from corpus.cleaning.registry import Verdict, rule

# Only names of HTML, so that "a<b", "List<String>" and "<姓名>" stay.
INLINE = (
    "a|abbr|acronym|b|base|big|cite|code|em|font|i|img|ins|kbd|label|map|mark|path|small|span|"
    "strike|strong|sub|sup|svg|tt|u|var|wbr"
)
BLOCK = (
    "address|article|aside|audio|blockquote|body|br|button|canvas|center|dd|del|details|div|dl|dt|"
    "embed|fieldset|figure|footer|form|h[1-6]|head|header|hr|html|iframe|input|li|link|main|meta|"
    "nav|noscript|object|ol|option|p|pre|section|select|summary|table|tbody|td|textarea|tfoot|th|"
    "thead|title|tr|ul|video"
)
# With attributes, or with nothing: <BIG REGION 1> is no tag.
REST = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"
# Each gap ends where the same opening comes again, so the time stays linear in any text.
HIDDEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>|<!doctype[^<>]*>",
    re.DOTALL | re.IGNORECASE,
)
INLINE_TAG = re.compile(rf"</?(?:{INLINE}){REST}", re.IGNORECASE)
BLOCK_TAGS = re.compile(rf"(?:</?(?:{BLOCK}){REST}\s*)+", re.IGNORECASE)
# With its semicolon only: in an address, &copy=1 is no entity.
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


@rule("html")
def remove_html(text: str) -> Verdict:
    """HTML tags, comments and scripts; block tags become a line break, entities characters."""
    text = _without_tags(text)
    if "&" in text:
        text = ENTITY.sub(lambda match: html.unescape(match[0]), text)
        text = text.replace("\xa0", " ")
    return text


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    without = INLINE_TAG.sub("", HIDDEN.sub("", text))
    without = BLOCK_TAGS.sub("\n", without)
    return without if without == text else without.strip()
