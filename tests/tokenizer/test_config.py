import re

import pytest
import yaml

from tokenizer.config import TokenizerConfig


@pytest.mark.parametrize(("size", "rule"), [(0, "at least 1"), (-1, "at least 1"), (2**64, "most")])
def test_a_sample_must_hold_something(size, rule):
    with pytest.raises(ValueError, match=f"tokenizer.sample_bytes is {size}; it must be .*{rule}"):
        TokenizerConfig(sample_bytes=size)


@pytest.mark.parametrize("size", [0, 299, 1_000_001, 2**64])
def test_a_vocabulary_has_bounds(size):
    with pytest.raises(ValueError, match=f"tokenizer.vocab_size is {size}; it must lie between"):
        TokenizerConfig(vocab_size=size)


@pytest.mark.parametrize("guide", ["docs/tokenizers.md", "docs/tokenizers_CN.md"])
def test_the_guide_shows_sections_that_work(repo, guide):
    text = (repo / guide).read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    section = yaml.safe_load(block)["tokenizer"]
    assert TokenizerConfig(**section).sample_bytes == TokenizerConfig.sample_bytes
    rows = re.findall(r"^\| `(\{.*?\})` \|", text, re.MULTILINE)
    assert [TokenizerConfig(**yaml.safe_load(row)).kind for row in rows] == [
        *("sentencepiece", "chatglm2", "sentencepiece")
    ]
