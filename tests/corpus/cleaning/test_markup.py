import pytest

from corpus.cleaning.markup import remove_html


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<p>取值：</p><ul><li>甲</li>\n<li>乙</li></ul>", "取值：\n甲\n乙"),
        ("很<b>重要</b>的<a href='http://a.cn?x=1'>链接</a>", "很重要的链接"),
        ("第一行<br/>第二行<BR >第三行", "第一行\n第二行\n第三行"),
        ("梅瑟&#183;迈尔 &amp; &lt;甲&gt;&nbsp;乙&#x4e2d;", "梅瑟·迈尔 & <甲> 乙中"),
        ("前<!-- 注\n释 --><script>var a='<p>';</script><style>p{}</style>后", "前后"),
        ("<td class='a' nowrap>格</td ><base href='../'>", "格"),
        ("<!DOCTYPE html><html><body>正文</body></html>", "正文"),
    ],
)
def test_html(text, clean):
    assert remove_html(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        *("如果a<b，且c>d", "List<String> 和 vector<int>", "<姓名>你好", "x?a=1&copy=2"),
        *(
            "~{N@Iz<dC;SP4rI(8I>;~}",
            "&unknownentity;",
            "1 < 2 > 0",
            "<<三国演义>>",
            "<BIG REGION 1>",
            "&#99999999;",
        ),
    ],
)
def test_what_only_looks_like_html_stays(text):
    assert remove_html(text) == text
