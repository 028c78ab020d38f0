"""The bfloat16 experiment runs, and its products are right to the digits that bfloat16 has."""

import re
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from benchmarks import custom_matmul

LIBRARY = Path(ms.__file__).parent / "lib" / "libdnnl.so.3"
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="this MindSpore ships no oneDNN")


def test_rounding_to_bfloat16():
    ones = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-7, -2.0], np.float32)
    back = (custom_matmul.to_bfloat16(ones).astype(np.uint32) << 16).view(np.float32)
    # The two halfway cases go to the even neighbour.
    assert back.tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -2.0]


def test_all_forms_agree(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["custom_matmul", "--shape", "65", "48", "96", "--rounds", "1"]
    )
    custom_matmul.main()
    said = capsys.readouterr().out
    errors = [float(text) for text in re.findall(r"error (\S+)", said)]
    stock, float32, bfloat16, custom = errors
    assert stock == 0 and float32 < 1e-5
    assert 1e-4 < bfloat16 < 1e-2 and custom == bfloat16
