"""The size of the ChatGLM vocabularies, asked of MindFormers' own classes."""

import atexit
import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path


def chatglm_vocab_size(kind: str, model_file: Path) -> int:
    """Number of ids of a ChatGLM vocabulary, special ids included.

    The class appends its special ids to the pieces of the file; which, only the class knows.
    """
    models = _import_mindformers()
    tokenizer_class = {"chatglm2": models.ChatGLM2Tokenizer, "chatglm3": models.ChatGLM3Tokenizer}
    return tokenizer_class[kind](str(model_file)).vocab_size


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
