import pytest

from corpus.config import DataConfig, SourceConfig

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("val_fraction", value) for value in (0.0, 1.0, NAN, INF)),
        *(("dedup_threshold", value) for value in (0.0, 1.5, NAN)),
        *(("augment_delete", value) for value in (-0.1, 1.0, NAN)),
        *(("augment_repeat", value) for value in (1.0, INF)),
        *(("workers", value) for value in (0, 2**64)),
        *(("shard_tokens", value) for value in (-1, 2**64)),
        *(("seed", value) for value in (-1, 18446744073709551616)),
        *(("part", value) for value in ("1/0", "0/" + "9" * 5000, "\u0661/\u0662")),
    ],
)
def test_numbers_beyond_their_range(name, value):
    with pytest.raises(ValueError, match=f"^data.{name} is .*; it must "):
        DataConfig(**{name: value})


@pytest.mark.parametrize("weight", [0.0, -1.0, NAN, INF, 1e300])
def test_a_weight_beyond_its_range(weight):
    with pytest.raises(ValueError, match="^data.sources: weight is .*; it must "):
        SourceConfig("txt", "a", weight=weight)
