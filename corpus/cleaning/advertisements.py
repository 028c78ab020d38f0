"""The rule against what web-novel sites put between the lines of the chapters they copy."""

import re

from corpus.cleaning.registry import Verdict, rule

SITE = (
    "笔趣阁|顶点小说|起点中文|纵横中文|飘天文学|书吧|书库"
    "|(?:小说|阅读|中文|读书|文学)网(?![站友民页络])"
)
ADDRESS = r"(?:www\.|https?:|\.(?:com|net|org|cc|cn|info|la|xyz)\b|[wＷ]{3}[．.])"
UPDATE = "(?:最快更新|更新最快|最新章节|首发|无弹窗|全文阅读|免费阅读|手打)"
ADVERTISEMENT = re.compile(
    "|".join(
        (
            "请(?:牢|大家)?记住(?:本[站书]|我们|.{0,6}(?:域名|网址))",
            "(?:一秒|三秒|1秒|3秒|天才).{0,6}记住",
            "(?:本书|本站|首发|手机版?|电脑版?|备用|最新)(?:阅读|访问|更新)?(?:网址|域名)(?:[:：]|为|是)",
            "(?:本站|本书|全文|小说|章节).{0,6}(?:最快更新|更新最快|首发更新)",
            "(?:看|阅读|更新|获取).{0,8}最新章节.{0,12}(?:请|到|尽在|搜|百度|手机|免费|最快)",
            "最新章节.{0,6}(?:请到|尽在|请搜索|百度|手机|免费阅读|最快)",
            "手机用户请(?:浏览|访问|到|登[录陆]|阅读)",
            "(?:章节|内容)(?:有?错误|缺失).{0,8}(?:举报|报错)",
            "(?:本章|这章|章节)(?:还)?(?:未完|没有结束).{0,6}(?:点击|请翻|下一页|继续|请看)",
            "点击下一[页章](?:继续)?(?:阅读|观看)?",
            "(?:无弹窗|全文字|免费).{0,4}(?:小说|广告|阅读|更新).{0,6}(?:网|站|尽在|首发|无错)",
            "喜欢.{0,20}请(?:大家)?收藏.{0,3}[:：(（]",
            "(?:搜索|关注).{0,4}(?:微信)?公众(?:号|帐号).{0,20}(?:阅读|章节|更新|小说|后续)",
            f"(?:{SITE}).{{0,20}}(?:{UPDATE}|{ADDRESS})",
            rf"{ADDRESS}.{{0,30}}{UPDATE}",
            "[tT][xX][tT].{0,6}(?:全集|全本|小说|电子书).{0,4}下载",
        )
    )
)
# The author asks for votes; as a sentence of a story, only in a longer line.
VOTE = "(?:推荐票|月票|红票|鲜花|收藏|订阅|打赏|票票)"
BEGGING = re.compile(rf"[求跪投].{{0,6}}{VOTE}.{{0,12}}{VOTE}|[求跪].?(?:推荐票|月票|打赏|订阅)")
# Every advertisement has one of these words, and to look for them is thirty times faster.
HINT = re.compile(
    "记住|网址|域名|[本这]章|下一章|章节|手机用户|下一页|弹窗|全文|免费|公众|收藏|首发|最快|手打|下载|举报|报错"
    r"|票|打赏|订阅|鲜花|www|WWW|ＷＷＷ|http|\.[a-z]"
)

BRACKETED = re.compile(r"[（(【\[《〔][^（）()【】\[\]《》〔〕\n]{4,80}[）)】\]》〕]")
SENTENCE = re.compile("[^。！？!?]+[。！？!?]*[”’」]*")
MAX_ADVERTISEMENT = 100
MAX_BEGGING = 40


@rule("advertisements")
def advertisements(text: str) -> Verdict:
    """Remove the advertisements that web-novel sites put between the lines of a chapter.

    A short line goes as a whole, of a longer one the brackets or the sentences that advertise.
    """
    if not HINT.search(text):
        return text
    lines = (_without_ads(line) if HINT.search(line) else line for line in text.split("\n"))
    return "\n".join(line for line in lines if line is not None)


def _without_ads(line: str) -> str | None:
    """The line without its advertisements; None where nothing else is in it."""
    if len(line) <= MAX_BEGGING and BEGGING.search(line):
        return None
    if not ADVERTISEMENT.search(line):
        return line
    rest = BRACKETED.sub(lambda match: "" if ADVERTISEMENT.search(match[0]) else match[0], line)
    if ADVERTISEMENT.search(rest):
        if len(rest) <= MAX_ADVERTISEMENT:
            return None
        sentences = SENTENCE.findall(rest)
        rest = "".join(part for part in sentences if not ADVERTISEMENT.search(part))
    return rest if rest.strip() else None
