"""The special ids of the ChatGLM vocabularies, asked of MindFormers' own classes."""

import atexit
import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path


def chatglm_special_ids(kind: str, model_file: Path) -> dict[str, int]:
    """The special pieces of a ChatGLM vocabulary and their ids, which follow those of the file.

    The class appends them to the pieces of the file; which, only the class knows.
    """
    models = _import_mindformers()
    tokenizer_class = {"chatglm2": models.ChatGLM2Tokenizer, "chatglm3": models.ChatGLM3Tokenizer}
    return dict(tokenizer_class[kind](str(model_file)).tokenizer.special_tokens)


def _import_mindformers():
    """Import without the log folder and the lines that MindFormers leaves behind."""
    if "LOCAL_DEFAULT_PATH" not in os.environ:
        log_folder = tempfile.mkdtemp(prefix="mindformers-")
        atexit.register(shutil.rmtree, log_folder, ignore_errors=True)
        os.environ["LOCAL_DEFAULT_PATH"] = log_folder
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
    with contextlib.redirect_stdout(io.StringIO()):
        from mindformers import models
    return models
