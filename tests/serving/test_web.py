"""The page: what it yields, and how it looks to a real browser."""

import dataclasses
import math
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from common.errors import UserError
from generation.generation import NewToken
from generation.writer import Piece
from serving.token_html import render_error, render_pieces
from serving.web import HOST, SLIDERS, Answer, build_page

DRIVER, BROWSER = Path("/usr/bin/chromedriver"), Path("/usr/bin/chromium")
# As root, without a display, and without a word to other computers.
BROWSER_OPTIONS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1200,900",
)


def test_a_piece_tells_its_probability_and_is_escaped():
    names = {1: "<b>", 2: "月", 3: "\ufffd"}
    token = NewToken(0, 1, math.log(0.25), ((2, math.log(0.5)), (3, math.log(0.01))))
    text = render_pieces("a & b", [Piece(0, "<b>", (token,))], lambda ids: names[ids[0]], "1 < 2")
    assert '<span class="prompt">a &amp; b</span>' in text
    assert '<span class="token p3" title="&#x27;&lt;b&gt;&#x27;  25.0%\n' in text
    assert "    &#x27;月&#x27;  50.0%\n    #3  1.0%" in text
    assert text.endswith('&lt;b&gt;</span></div><p class="summary">1 &lt; 2</p>')
    assert render_error("a <i>") == '<p class="error">a &lt;i&gt;</p>'


@pytest.fixture
def answer(writer):
    before = writer.config
    yield Answer(writer, "CPU")
    writer.config = before


def values(writer, **changes) -> list:
    config = dataclasses.replace(writer.config, **changes)
    return [getattr(config, name) for name, *_ in SLIDERS]


def visible(page: str) -> str:
    return re.sub("<[^>]*>", "", page)


def test_the_text_grows_and_is_what_the_writer_writes(answer, writer):
    *growing, whole = answer.write("小明", *values(writer))
    assert len(growing) > 3
    assert all(visible(b).startswith(visible(a)) for a, b in zip(growing, growing[1:]))
    result = writer.write("小明", lambda text: None)
    assert visible(whole).startswith("小明" + result.text.replace("&", "&amp;"))
    assert f"{result.tokens} tokens, " in whole


def test_sliders_give_floats_and_what_is_wrong_is_told(answer, writer):
    *_, page = answer.write("小明", *map(float, values(writer, max_new_tokens=3)))
    assert ">3 tokens, " in page
    (page,) = answer.write("学" * 100, *values(writer))
    assert page.startswith('<p class="error">the prompt has')


def test_without_gradio_there_is_one_sentence(writer, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match="needs the package gradio; install it with: "):
        build_page(writer, "", "CPU")


@pytest.fixture(scope="module")
def address(writer):
    pytest.importorskip("gradio")
    page, launch = build_page(writer, "debug: <1> parameters", "CPU")
    _, address, _ = page.launch(server_name=HOST, **launch)
    yield address
    page.close()


def test_the_page_is_for_this_computer_and_loads_nothing_from_others(address):
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address) as answer:
        page = answer.read().decode()
    assert "fonts.googleapis.com" not in page


@pytest.fixture(scope="module")
def browser(address, tmp_path_factory):
    if not (DRIVER.exists() and BROWSER.exists()):
        pytest.skip(f"no {DRIVER}; install chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in (*BROWSER_OPTIONS, f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{option}")
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    browser.implicitly_wait(60)
    browser.get(address)
    yield browser
    browser.quit()


def test_a_browser_shows_the_text_and_on_hover_its_probabilities(browser, writer, address):
    prompt = browser.find_element("css selector", "#prompt textarea")
    assert prompt.get_attribute("value") == writer.config.prompts[0]
    prompt.clear()
    prompt.send_keys("小明 <i>")
    browser.find_element("id", "go").click()
    summary = browser.find_element("css selector", "#text .summary").text
    tokens = browser.find_elements("css selector", "#text .token")
    assert re.match(r"\d+ tokens, \d+ tokens/s, stopped by ", summary)
    assert 0 < len(tokens) <= writer.config.max_new_tokens
    assert browser.find_element("css selector", "#text .prompt").text == "小明 <i>"
    assert re.search(r"\d%", tokens[0].get_attribute("title"))
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    loaded = browser.execute_script(script)
    assert loaded and all(name.startswith((address, "data:", "blob:")) for name in loaded)


def test_the_command_serves_the_page_until_ctrl_c(run, repo):
    command = [sys.executable, repo / "eval_pretrain.py", "--run", run.path, "--web"]
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, text=True)
    try:
        address = next(line for line in process.stdout if line.startswith("Open ")).split()[1]
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
