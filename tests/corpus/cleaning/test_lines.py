import pytest

from corpus.cleaning.lines import boilerplate, repeated_lines


def test_repeated_lines():
    text = "注意：此字段可能返回空值。\n甲\n注意：此字段可能返回空值。 \n甲\n乙"
    assert repeated_lines(text) == "注意：此字段可能返回空值。\n甲\n甲\n乙"
    assert repeated_lines(text, min=1) == "注意：此字段可能返回空值。\n甲\n乙"
    assert repeated_lines("一行") == "一行"


@pytest.mark.parametrize(
    "line",
    [
        *("上一篇：某某新闻", "下一页>>", "首页 > 新闻 > 正文", "您现在的位置：首页", "分享到："),
        *("责任编辑：周泓洋", "（编辑：李四）", "版权所有 © 2020", "Copyright 2020 Example"),
        *("未经本站许可不得转载", "转载请注明出处", "京ICP备12345678号", "返回顶部", "查看更多"),
        *(
            "阅读原文",
            "相关阅读：",
            "登录 | 注册",
            "扫一扫关注我们",
            "长按识别二维码",
            "文章来源：新华网",
        ),
        *("浏览次数：123", "发布时间：2020-01-01", "点击查看全文", "网友评论", "字号：大 中 小"),
    ],
)
def test_boilerplate(line):
    assert boilerplate(f"正文第一段。\n{line}\n正文第二段。") == "正文第一段。\n正文第二段。"


@pytest.mark.parametrize(
    "line",
    [
        *(
            "出处：《史记》",
            "下一页纸上写着他的名字",
            "首页新闻的标题很长",
            "返回列表的数量，默认为20",
        ),
        *("查看更多日志的凭证", "登录/注册成功后返回凭证", "来源于生活的艺术", "编辑部里的故事"),
        *("ICP备案信息", "阅读使人充实", "相关阅读材料见书后", "分享到群里的照片"),
        "版权所有者应当在六十日之内提出异议，" * 4,
    ],
)
def test_sentences_that_begin_alike_stay(line):
    assert boilerplate(line) == line
