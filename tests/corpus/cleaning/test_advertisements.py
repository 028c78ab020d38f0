import pytest

from corpus.cleaning.advertisements import advertisements

STORY = "林动缓缓睁开双眼，望着远处的群山。"


@pytest.mark.parametrize(
    "line",
    [
        "请记住本站域名：www.example.com",
        "请记住本书首发域名：example.net。手机版阅读网址：m.example.net",
        "一秒记住【某某小说网】，精彩小说无弹窗免费阅读！",
        "天才一秒记住本站地址：[某某中文] https://www.example.cc/最快更新！无广告！",
        "手机用户请浏览m.example.com阅读，更优质的阅读体验。",
        "手机用户请访问http://m.example.com",
        "最新网址：www.example.org",
        "看最新章节请到某某小说网",
        "本书最新章节尽在某某阅读",
        "章节错误,点此举报(免注册)",
        "（本章未完，请点击下一页继续阅读）",
        "这章没有结束，请点击下一页继续阅读！",
        "喜欢某某传请大家收藏：(www.example.com)某某传更新速度最快。",
        "某某小说网首发更新最快",
        "全文字更新，某某小说，无弹窗小说网",
        "TXT全集下载，请到某某书库",
        "求推荐票，求收藏！",
        "跪求月票！！",
        "投个推荐票和月票支持一下吧",
        "关注微信公众号“某某”，提前阅读后续章节",
    ],
)
def test_advertising_lines_go(line):
    assert advertisements(f"{STORY}\n{line}\n{STORY}") == f"{STORY}\n{STORY}"


def test_brackets_go_and_the_sentence_stays():
    text = f"{STORY}【请记住本站域名www.example.com】他站起身来。"
    assert advertisements(text) == f"{STORY}他站起身来。"


def test_of_a_long_line_only_the_advertising_sentence_goes():
    story = STORY * 8
    assert advertisements(f"{story}手机用户请访问m.example.com！{STORY}") == story + STORY


@pytest.mark.parametrize(
    "text",
    [
        *("请记住我说的话，孩子。", "他一眼就记住了她的名字。", "这本书的最新章节写得很好。"),
        *("他把这些古董收藏在地下室里。", "报纸的首发式在北京举行。", "老师请他翻到下一页。"),
        *(
            "我们免费为读者更新了设备。",
            "她投了一票。",
            "群众的举报电话已经公布。",
            "欢迎订阅本报。",
        ),
        *("中文网站越来越多，例如www.example.com。", "他在小说网站上写作。", "手机用户超过一亿。"),
        "小说的全文三十万字，更新到第三章时，读者要求他公布网址，他拒绝了。",
    ],
)
def test_stories_and_news_with_the_same_words_stay(text):
    assert advertisements(text) == text
