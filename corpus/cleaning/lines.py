"""Rules that look at the lines of a document: repeated ones, and the furniture of web pages."""

import re

from corpus.cleaning.registry import Count, Verdict, rule

# What surrounds the text of a web page. A short line goes if it begins so ...
BEGINNINGS = (
    "(?:上|下|前|后)一[篇页条章][:：> |】]",
    "(?:首页|主页) *[>»|]",
    "(?:您|你)(?:现在|当前)?的?位置[:：]|当前位置[:：]",
    "分享[到至][:：]",
    "扫一扫.{0,6}(?:关注|分享|下载)|(?:扫描|长按)(?:下方|上方|识别)?.{0,4}二维码",
    "关注(?:我们|本?(?:微信)?公众号)",
    "免责声明|版权(?:所有|声明)|copyright\\b|©",
    "(?:本文|文章|信息|稿件)(?:来源|出处)[:：]",
    "(?:责任编辑|责编|编辑|审核|校对|排版)[:：]",
    "(?:浏览|阅读|点击)(?:次数|量|数)?[:：] ?\\d",
    "(?:发布|更新)(?:时间|日期)[:：]",
    "转载请|未经.{0,8}(?:许可|授权|同意).{0,12}(?:转载|复制)",
    ".{0,4}icp备 ?\\d|.{0,12}公网安备",
)
# ... or is all of this.
WHOLE_LINES = (
    "返回(?:首页|顶部|目录|列表)|打印本?页|关闭窗口|加入收藏|设为首页",
    "(?:阅读|查看)(?:原文|全文|更多)|点击(?:查看|阅读|进入).{0,6}|展开(?:全文|阅读)",
    "(?:相关|推荐|延伸|热门|精彩)(?:阅读|推荐|文章|新闻|链接|专题)",
    "(?:网友|最新|热门|发表)评论|登[录陆] *[|/] *注册|字号[:：].{0,8}",
)
FURNITURE = re.compile(
    rf"[\s|>»·\[【（(]*(?:(?:{'|'.join(BEGINNINGS)})|(?:{'|'.join(WHOLE_LINES)})[\s|>»·\]】）):：]*$)",
    re.IGNORECASE,
)
MAX_FURNITURE = 60


@rule("repeated_lines")
def repeated_lines(text: str, *, min: Count = 10) -> Verdict:
    """Keep the first of equal lines of at least `min` characters; shorter ones may be refrains."""
    if "\n" not in text:
        return text
    seen: set[str] = set()
    kept = []
    for line in text.split("\n"):
        key = line.strip()
        if len(key) < min or key not in seen:
            kept.append(line)
            seen.add(key)
    return "\n".join(kept)


@rule("boilerplate")
def boilerplate(text: str) -> Verdict:
    """Remove what surrounds the text of a web page: navigation, share buttons, copyright lines."""
    lines = text.split("\n")
    kept = [line for line in lines if len(line) > MAX_FURNITURE or not FURNITURE.match(line)]
    return text if len(kept) == len(lines) else "\n".join(kept)
