"""Rules that take addresses and numbers of people and machines out of a text.

Each removes what it finds, or puts `replacement` in its place, such as "<电话>".
"""

import re

from corpus.cleaning.registry import Verdict, rule

# Only ASCII: in Chinese text an address ends at the first Chinese character.
URL = re.compile(
    r"(?:(?:https?|ftp)://|(?<![\w.])www\.)[\w\-.~:/?#\[\]@!$&'()*+,;=%]+",
    re.ASCII | re.IGNORECASE,
)
URL_END = ".,;:!?'\"*~("
EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]+\.)+[a-z]{2,}", re.ASCII | re.IGNORECASE
)

MOBILE = r"(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}"
# With brackets or a dash after the area code: undivided, it is any number.
AREA = r"(?:\+86[- ]?)?(?:[(（]0\d{2,3}[)）][- ]?|0\d{2,3}-)"
LANDLINE = rf"{AREA}[2-9]\d{{6,7}}(?:(?:转|-)\d{{1,5}})?(?:[、，,/] ?[2-9]\d{{6,7}})*"
SERVICE = r"[48]00(?:-\d{3}-?\d{4}|\d{7})"
PHONE = re.compile(
    rf"(?<![\dA-Za-z.+_-])(?:{MOBILE}|{LANDLINE}|{SERVICE})(?![\dA-Za-z_])", re.ASCII
)
DIGITS = re.compile("[0-9]{3}")

# A number alone is anything; its name in front makes it an account. A name of letters needs
# a 号 or 加 in front, or a digit in it: after 微信 also stand words such as openid.
QQ = r"(?:(?:qq|扣扣|企鹅)(?:交流|讨论|读者)?(?:群|号|号码|群号)?|(?:书友|读者|交流)群)"
WECHAT = r"(?:微信|威信|薇信|wechat|vx|v信|weixin)"
LABELLED = rf"(?:加我?{WECHAT}|{WECHAT}(?:公众号|公众帐号|帐号|账号|号码|号))[ :：=是为]{{0,3}}"
NAME = "[a-z][a-z0-9_-]{5,19}"
ACCOUNT = re.compile(
    rf"(?:{QQ}[ :：=是为]{{0,3}}[1-9][0-9]{{4,10}}"
    rf"|{LABELLED}{NAME}"
    rf"|{WECHAT}[ :：]{{1,3}}(?=[a-z_-]*[0-9]){NAME}"
    rf"|{WECHAT}[ :：=是为]{{0,3}}1[3-9][0-9]{{9}})(?![0-9A-Za-z_=-])",
    re.IGNORECASE,
)
ACCOUNT_HINT = re.compile("[0-9]{5}|[A-Za-z][A-Za-z0-9_-]{5}")

BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# Four numbers after 版本, v or a dot, or before more of them, are a version.
IPV4 = rf"(?<![\w.])(?<!版本)(?<!版本[:： 号为])(?:{BYTE}\.){{3}}{BYTE}(?!\.?\w)"
IPV6 = r"(?<![\w:])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])"
IP = re.compile(f"{IPV4}|{IPV6}", re.ASCII | re.IGNORECASE)


@rule("urls")
def urls(text: str, *, replacement: str = "") -> Verdict:
    """Web addresses that begin with http://, https://, ftp:// or www."""
    if "://" not in text and "www." not in text and "WWW." not in text:
        return text
    return URL.sub(lambda match: replacement + _after_url(match[0]), text)


@rule("emails")
def emails(text: str, *, replacement: str = "") -> Verdict:
    """E-mail addresses."""
    return EMAIL.sub(_literal(replacement), text) if "@" in text else text


@rule("phones")
def phones(text: str, *, replacement: str = "") -> Verdict:
    """Chinese mobile numbers, landlines with their area code, and 400 and 800 numbers."""
    return PHONE.sub(_literal(replacement), text) if DIGITS.search(text) else text


@rule("qq_wechat")
def qq_wechat(text: str, *, replacement: str = "") -> Verdict:
    """Numbers of QQ accounts and groups and names of WeChat accounts, with the word in front."""
    return ACCOUNT.sub(_literal(replacement), text) if ACCOUNT_HINT.search(text) else text


@rule("ip_addresses")
def ip_addresses(text: str, *, replacement: str = "") -> Verdict:
    """IPv4 addresses and IPv6 addresses in full length; versions such as v1.2.3.4 stay."""
    return IP.sub(_literal(replacement), text)


def _literal(replacement: str):
    """A replacement in which a backslash means nothing."""
    return lambda match: replacement


def _after_url(match: str) -> str:
    """Punctuation of the sentence that the pattern took for a part of the address."""
    url = match.rstrip(URL_END)
    if url.endswith(")") and "(" not in url:
        url = url.rstrip(")" + URL_END)
    return match[len(url) :]
