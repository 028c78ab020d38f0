import pytest

from corpus.cleaning.contacts import emails, ip_addresses, phones, qq_wechat, urls


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("请访问http://www.example.com/a?b=1&c=2#d，谢谢", "请访问，谢谢"),
        ("网址：https://例子", "网址：https://例子"),
        ("站点www.peopledaily.com.cn，首次", "站点，首次"),
        ("见（https://a.cn/x）和 ftp://b.cn/y.zip。", "见（）和 。"),
        ("See (http://a.cn/x). 完", "See (). 完"),
        ("https://zh.wikipedia.org/wiki/A_(b) 好", " 好"),
        ("[文档](https://a.cn/1) 和", "[文档]() 和"),
        ("HTTP://A.CN/x WWW.B.CN", " "),
        ("Node.js 和 3.5 和 a:b//c", "Node.js 和 3.5 和 a:b//c"),
    ],
)
def test_urls(text, clean):
    assert urls(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("联系jinli1986@gmail.com吧", "联系吧"),
        ("a.b+c@mail.example.com.cn。", "。"),
        ("@微博 a@b 邮箱@", "@微博 a@b 邮箱@"),
    ],
)
def test_emails(text, clean):
    assert emails(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        *("13501907120", "135 0190 7120", "135-0190-7120", "+8613501907120", "86-13501907120"),
        *("010-59222799", "(0311)86911999", "（0717）5401220", "0755-26123456转8008"),
        *("400-820-6666", "4008206666", "800-8206666", "（0717）5401220、5401210"),
    ],
)
def test_phones(text):
    assert phones(f"电话：{text}，谢谢", replacement="<电话>") == "电话：<电话>，谢谢"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1998年1月1日",
            "增长12345678901",
            "编号20230135019071203",
            "3.1415926535897",
            "9300-512mb",
        ),
        *("ISBN 7-5063-1234-5", "1997-1998", "A13501907120", "100-2000-3000"),
    ],
)
def test_other_numbers_are_no_phones(text):
    assert phones(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("QQ：383161223（注明）", "（注明）"),
        ("我的qq:410073425", "我的"),
        ("要的加qq 673946022", "要的加"),
        ("加QQ群123456789进群", "加进群"),
        ("书友群：12345678", ""),
        ("微信号：abc_12345，", "，"),
        ("加微信 abcdefg 领取", " 领取"),
        ("微信：wx12345 咨询", " 咨询"),
        ("vx13501907120", ""),
        ("公众号", "公众号"),
    ],
)
def test_qq_wechat(text, clean):
    assert qq_wechat(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        *("手机的QQ信息", "用QQ2008登录", "QQ和微信 openid 都可以", "企业微信: WXWork}"),
        *("Channel=wechat PayScene=wechat-mini", "群里有12345人", "微信支付", "QQ号 1234"),
    ],
)
def test_names_of_the_services_stay(text):
    assert qq_wechat(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("来自192.168.0.1的网友", "来自的网友"),
        ("127.0.0.1:8080/x", ":8080/x"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334。", "。"),
        ("版本1.2.3.4和v1.2.3.4", "版本1.2.3.4和v1.2.3.4"),
        ("1.2.3.4.5 和 256.1.1.1 和 12:30:00", "1.2.3.4.5 和 256.1.1.1 和 12:30:00"),
    ],
)
def test_ip_addresses(text, clean):
    assert ip_addresses(text) == clean


@pytest.mark.parametrize("rule", [urls, emails, phones, qq_wechat, ip_addresses])
def test_a_replacement_is_taken_literally(rule):
    text = "http://a.cn a@b.cn 13501907120 QQ:12345678 10.0.0.1"
    assert r"<\1\g<0>>" in rule(text, replacement=r"<\1\g<0>>")
