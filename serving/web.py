"""One local page to play with a model: prompt, sliders, and text whose tokens tell how likely."""

import dataclasses
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import UserError
from generation.writer import Piece, Writer, Writing
from runs.device import select_device
from serving.token_html import render_error, render_pieces

HOST = "127.0.0.1"
# Hover shows so many likely tokens beside the chosen one.
N_LIKELY = 5
CSS = Path(__file__).with_name("web.css")
# Those that the computer has; the page loads nothing from other computers.
FONTS = ["system-ui", "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", "sans-serif"]
HINT = (
    "The deeper its colour, the less likely a token; point at it for the probabilities. "
    "颜色越深，词元越出人意料；指向它可见概率。"
)
# Setting, label, and lowest value, highest and step of its slider; the context ends the last one.
SLIDERS = (
    ("temperature", "Temperature 温度", 0, 2, 0.05),
    ("top_k", "Top-k", 0, 200, 1),
    ("top_p", "Top-p", 0.05, 1, 0.01),
    ("min_p", "Min-p", 0, 1, 0.01),
    ("repetition_penalty", "Repetition penalty 重复惩罚", 1, 2, 0.05),
    ("max_new_tokens", "New tokens 新词元数", 1, None, 1),
    ("seed", "Seed 随机种子", 0, 9999, 1),
)


def serve(writer: Writer, title: str, device: str, port: int | None = None) -> None:
    """Show the page on this computer only, until Ctrl-C.

    Args:
        writer: the model.
        title: of the page.
        device: `train.device` of the run.
        port: None: the first free one from 7860 on.

    Raises:
        UserError: Gradio is not installed, or the port is taken.
    """
    page, launch = build_page(writer, title, device)
    try:
        _, address, _ = page.launch(server_name=HOST, server_port=port, **launch)
    except OSError as error:
        raise UserError(
            f"--web cannot use port {port or '7860 or those after it'}; choose a free one with "
            "--web_port"
        ) from error
    print(f"Open {address} in a browser; Ctrl-C ends.", flush=True)
    page.block_thread()


def build_page(writer: Writer, title: str, device: str):
    """The page, a gradio.Blocks, and how to launch it.

    Raises:
        UserError: Gradio is not installed.
    """
    # Read when Gradio is imported: nothing is reported to anybody.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise UserError(
            "--web needs the package gradio; install it with: "
            "python -m pip install -r requirements-extra.txt"
        ) from error
    with gradio.Blocks(analytics_enabled=False, title=title) as page:
        gradio.Markdown(f"## {title}")
        with gradio.Row():
            with gradio.Column(scale=3):
                prompt = gradio.Textbox(
                    writer.config.prompts[0] if writer.config.prompts else "",
                    label="Prompt 提示",
                    lines=3,
                    elem_id="prompt",
                )
                with gradio.Row():
                    go = gradio.Button("Continue 续写", variant="primary", elem_id="go")
                    stop = gradio.Button("Stop 停止", elem_id="stop")
                text = gradio.HTML(elem_id="text")
                gradio.Markdown(HINT)
            with gradio.Column(scale=1, min_width=260):
                sliders = [_slider(gradio, writer, *each) for each in SLIDERS]
        answer = Answer(writer, device)
        # One at a time, since there is one cache.
        running = go.click(
            answer.write, [prompt, *sliders], text, concurrency_limit=1, api_name=False
        )
        stop.click(None, cancels=[running], api_name=False)
    theme = gradio.themes.Soft(font=FONTS, font_mono=["monospace"])
    launch = {"theme": theme, "css": CSS.read_text(encoding="utf-8"), "footer_links": []}
    launch |= {"share": False, "quiet": True, "ssr_mode": False, "prevent_thread_lock": True}
    return page, launch


def _slider(gradio, writer: Writer, name: str, label: str, low: float, high: float, step: float):
    value = getattr(writer.config, name)
    high = max(writer.decoder.max_seq_len - 2 if high is None else high, value)
    return gradio.Slider(min(low, value), high, value, step=step, label=label, elem_id=name)


class Answer:
    """Continues a prompt for the page, which gets the whole text so far again and again."""

    def __init__(self, writer: Writer, device: str):
        self.writer, self.device, self.first = writer, device, writer.config
        self.lock = threading.Lock()

    def write(self, prompt: str, *values: float) -> Iterator[str]:
        """Yield HTML; `values` are those of the sliders."""
        with self.lock:
            # MindSpore's settings belong to a thread, and each answer may have another one.
            select_device(self.device)
            try:
                yield from self._write(prompt, values)
            except (UserError, ValueError) as error:
                yield render_error(str(error))

    def _write(self, prompt: str, values: Sequence[float]) -> Iterator[str]:
        config = self.first
        for (name, *_), value in zip(SLIDERS, values):
            value = type(getattr(config, name))(value)
            config = dataclasses.replace(config, **{name: value})
        self.writer.config = config
        job, pieces = Writing(self.writer, [prompt], n_likely=N_LIKELY), []
        decode = self.writer.tokenizer.decode
        for piece in job:
            pieces.append(piece)
            yield render_pieces(prompt, pieces, decode)
        yield render_pieces(prompt, pieces, decode, self._summary(job, pieces))

    def _summary(self, job: Writing, pieces: Sequence[Piece]) -> str:
        result = job.results()[0]
        speed = result.tokens / result.seconds if result.seconds else 0.0
        return f"{result.tokens} tokens, {speed:.0f} tokens/s, stopped by {result.stopped_by}"
