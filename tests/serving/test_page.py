"""The page in a real browser: continuation and chat, stop, clear, turns, and the key."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.serving.conftest import serving
from tests.serving.raw import ask

DRIVER, BROWSER = Path("/usr/bin/chromedriver"), Path("/usr/bin/chromium")
# As root, without a display, and without a word to other computers.
OPTIONS = (
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


def test_the_command_serves_the_page_until_ctrl_c(run, repo, capfd):
    command = [sys.executable, repo / "eval_pretrain.py", "--run", run.path, "--web"]
    command += ["--web_port", "0", "--eval.top_k", "7"]
    process = subprocess.Popen(
        command,
        cwd=repo,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup may ignore it
    )
    try:
        address = next(line for line in process.stdout if line.startswith("Open ")).split()[1]
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200 and "default-src 'none'" in str(answer.headers)
        with urllib.request.urlopen(f"{address}v1/models") as answer:
            assert json.load(answer)["data"][0]["settings"]["top_k"] == 7
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert capfd.readouterr().err == "interrupted\n"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    if not (DRIVER.exists() and BROWSER.exists()):
        pytest.skip(f"no {DRIVER}; install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in (*OPTIONS, f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


class Page:
    """What a person does with the page."""

    def __init__(self, driver, address: str):
        self.driver, self.address = driver, address
        driver.get(address)

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list:
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def wait(self, true):
        WebDriverWait(self.driver, 30, 0.02).until(lambda driver: true())

    def choose(self, model: str) -> "Page":
        self.wait(lambda: self.all("#model option"))
        Select(self.find("#model")).select_by_visible_text(model)
        self.wait(lambda: self.all("#settings input"))
        return self

    def set(self, name: str, value: float) -> None:
        script = "arguments[0].value = arguments[1]"
        self.driver.execute_script(script, self.find(f"[name={name}]"), value)

    def say(self, text: str) -> None:
        self.find("#prompt").clear()
        self.find("#prompt").send_keys(text)
        self.find("#go").click()

    def wait_for_the_end(self) -> None:
        self.wait(lambda: self.find("#go").is_enabled())

    @property
    def status(self) -> str:
        return self.find("#status").text


@pytest.fixture
def page(driver, server):
    page = Page(driver, server.address)
    yield page
    severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


@pytest.fixture
def slow(server, monkeypatch):
    """Steps of the chatting run that take a quarter of a second more."""
    batch = server.models["chatty"].batch
    step = batch.step
    monkeypatch.setattr(batch, "step", lambda: time.sleep(0.25) or step())


def test_a_continuation_tells_its_probabilities(page, server):
    page.choose("debug")
    assert page.find("#prompt").get_attribute("value") == "小明在学校"
    page.say("小明 <i>")
    page.wait_for_the_end()
    assert re.fullmatch(r"20 tokens, \d+ tokens/s", page.status)
    assert page.find(".text .prompt").text == "小明 <i>"
    tokens = page.all(".text .token")
    assert 0 < len(tokens) <= 20
    title = tokens[0].get_attribute("title")
    assert re.match(r'".*"  \d+\.\d%\n(    ".*"  \d+\.\d%\n?){5}', title)
    loaded = page.driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert loaded and all(name.startswith((server.address, "data:")) for name in loaded)


def test_settings_are_sent(page):
    page.choose("debug")
    page.set("max_tokens", 3)
    page.set("temperature", 0)
    texts = []
    for _ in range(2):
        page.say("春天")
        page.wait_for_the_end()
        assert page.status.startswith("3 tokens")
        texts.append(page.find(".text").text)
    assert texts[0] == texts[1] != "春天"


def test_two_turns_and_clear(page, server):
    page.choose("chatty")
    page.set("max_tokens", 4)
    page.say("小明")
    page.wait_for_the_end()
    page.say("春天")
    page.wait_for_the_end()
    assert page.texts(".turn.user") == ["小明", "春天"]
    answers = page.texts(".turn.assistant")
    assert len(answers) == 2 and all(answers)
    # The model was shown the first turn with the second one.
    cached = max(server.models["chatty"].batch.slots.slots, key=lambda slot: slot.last_used).ids
    assert answers[0][:2] in server.models["chatty"].tokenizer.decode(cached)
    page.find("#clear").click()
    assert page.texts(".turn") == [] and page.status == ""
    page.say("老师")
    page.wait_for_the_end()
    assert page.texts(".turn.user") == ["老师"]


def test_the_text_grows_and_stop_ends_it(page, server, slow):
    page.choose("chatty")
    page.set("max_tokens", 40)
    page.say("小明")
    page.wait(lambda: page.texts(".turn.assistant") != [""])
    first = page.texts(".turn.assistant")[0]
    page.wait(lambda: page.texts(".turn.assistant")[0] != first)
    assert not page.find("#go").is_enabled()
    page.find("#stop").click()
    page.wait_for_the_end()
    assert page.status.startswith("stopped")
    page.wait(lambda: not server.models["chatty"].batch.busy)
    assert page.texts(".turn.assistant")[0].startswith(first)


def test_an_error_is_one_sentence(driver, server):
    page = Page(driver, server.address).choose("chatty")
    page.say("学" * 100)
    page.wait_for_the_end()
    (error,) = page.texts(".error")
    assert error.startswith("the prompt has ")
    driver.get_log("browser")  # it shows the status, as it should


def test_with_a_key_the_page_asks_for_it(driver, run):
    arguments = ["--web", "--host", "127.0.0.1", "--api_key", "open-sesame"]
    with serving(run.path, arguments=arguments) as server:
        assert ask(server, "/v1/models")[0] == 401
        assert ask(server, "/v1/models", authorization="Bearer open-sesame")[0] == 200
        assert ask(server, "/v1/models", authorization="Bearer open")[0] == 401
        assert ask(server, "/health")[0] == 200
        page = Page(driver, server.address)
        page.wait(lambda: page.find("#key").is_displayed())
        page.find("#key").send_keys("open-sesame\t")
        page.choose("debug").say("春天")
        page.wait_for_the_end()
        assert page.status.startswith("20 tokens")
    driver.get_log("browser")
