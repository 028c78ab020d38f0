"""python -m benchmarks.exams, on few questions and a small model."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_an_invented_exam_runs_twice_to_its_end(repo):
    small = ("--questions", "2", "--dim", "48", "--layers", "1", "--seq", "256")
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.exams", *small],
        cwd=repo, env=dict(os.environ), capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "134 questions, 5 shots: " in result.stdout
    assert "chance inside the interval: True" in result.stdout
    assert result.stdout.rstrip().endswith("the same twice: True")
