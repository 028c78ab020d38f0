"""The shipped recipes: they load, have the published shapes, and are tabulated without drift."""

import json

import pytest

from benchmarks.zoo_table import sized_model, zoo_table
from recipe import REPO, load_recipe

CONFIGS = sorted(REPO.glob("configs/*.yaml"))

# name: D, N, H, K, F, T, vocabulary, parameters tied, parameters untied. Counted by hand:
# N (2 D D + 2 D K C + 3 D F + 2 D) + D, and once or twice D times the vocabulary's padded rows.
ZOO = {
    "tiny-llama2-9m": (64, 5, 8, 4, 192, 512, 64794, 4_395_712, 8_544_960),
    "tiny-llama2-24m": (288, 6, 6, 6, 768, 512, 64794, 24_647_328, 43_318_944),
    "tiny-llama2-58m": (512, 8, 8, 8, 1376, 512, 64794, 58_499_584, 91_693_568),
    "tiny-llama2-134m": (768, 12, 12, 12, 2048, 512, 64794, 134_744_832, 184_535_808),
    "tiny-llama2-256m": (1024, 16, 16, 16, 2752, 1024, 64794, 268_796_928, 335_184_896),
    "stories-15m": (288, 6, 6, 6, 768, 256, 5000, 7_431_840, 8_887_968),
    "stories-42m": (512, 8, 8, 8, 1376, 1024, 5000, 27_894_272, 30_482_944),
    "stories-110m": (768, 12, 12, 12, 2048, 1024, 5000, 88_836_864, 92_719_872),
    "baby-llama2-92m": (512, 8, 8, 8, 1376, 512, 64794, 58_499_584, 91_693_568),
    "baby-llama2-218m": (1024, 12, 8, 8, 2752, 1024, 64794, 218_194_944, 284_582_912),
    "tinyllama-1.1b-zh": (2048, 22, 32, 4, 5632, 2048, 65024, 1_102_145_536, 1_235_314_688),
    "tinylm-0.5b": (1024, 24, 16, 16, 2816, 1024, 64794, 374_793_216, 441_181_184),
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_and_is_named_as_its_file(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.data.sources
    assert path.read_text(encoding="utf-8").startswith("# "), "the first line says what it is"


def test_every_recipe_is_shipped_that_should_be():
    shipped = {
        "demo",
        "debug",
        "debug-sft",
        "debug-dpo",
        "debug-reward",
        "debug-ppo",
        "sft-idioms",
        "sft-passages",
        "dpo-idioms",
        "reward-idioms",
        "poet-base",
        "poet-sft",
        "poet-grpo",
        "longlora-demo",
        "longlora-8k",
        *ZOO,
    }
    assert {path.stem for path in CONFIGS} == shipped


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_has_the_published_shapes(name):
    recipe = load_recipe(REPO / "configs" / f"{name}.yaml")
    model = sized_model(recipe)
    dim, layers, heads, kv_heads, hidden, length, vocab, tied, untied = ZOO[name]
    assert (model.dim, model.n_layers, model.n_heads, model.n_kv_heads, model.hidden_dim) == (
        dim, layers, heads, kv_heads, hidden,
    )  # fmt: skip
    assert (model.max_seq_len, model.vocab_size) == (length, vocab)
    assert model.tie_embeddings == (name != "tinyllama-1.1b-zh")
    assert model.n_params() == (tied if model.tie_embeddings else untied)


@pytest.mark.parametrize("name", ZOO)
def test_the_counts_above_follow_from_the_shapes(name):
    dim, layers, heads, kv_heads, hidden, _, vocab, tied, untied = ZOO[name]
    kv_dim = dim // heads * kv_heads
    weights = dim * dim + dim * kv_dim + dim * kv_dim + dim * dim + dim * hidden * 3
    biases = dim + kv_dim + kv_dim if name == "tinylm-0.5b" else 0
    blocks = layers * (weights + biases + dim + dim) + dim
    table = (vocab + 63) // 64 * 64 * dim
    assert (tied, untied) == (blocks + table, blocks + 2 * table)


def test_the_reference_run_is_whole():
    folder = REPO / "docs" / "runs" / "24m-cpu"
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.name == folder.name
    assert sized_model(recipe).n_params() == ZOO["tiny-llama2-24m"][7]
    records = [json.loads(line) for line in (folder / "metrics.jsonl").open(encoding="utf-8")]
    training = [record for record in records if "val_loss" not in record]
    assert training[-1]["step"] == recipe.train.max_steps and training[-1]["elapsed_s"] > 3600
    last = [record for record in records if "val_loss" in record][-1]
    assert last["step"] == recipe.train.max_steps
    row = f"| {last['step']:,} | {last['val_loss']:.4f} |"
    assert row in (folder / "training.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["poet-base", "poet-sft", "poet-grpo", "poet-hacked"])
def test_the_poets_runs_are_whole(name):
    folder = REPO / "docs" / "runs" / name
    recipe = load_recipe(folder / "recipe.yaml")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").open(encoding="utf-8")]
    assert recipe.name == name and records[-1]["step"] == recipe.train.max_steps
    shipped = load_recipe(REPO / "configs" / f"{name.replace('hacked', 'grpo')}.yaml")
    assert recipe.train == shipped.train and recipe.data == shipped.data


def test_tinylm_has_the_qwen_constants():
    model = load_recipe(REPO / "configs" / "tinylm-0.5b.yaml").model
    assert (model.attention_bias, model.rope_theta, model.norm_eps) == (True, 1e6, 1e-6)


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_trains_about_20_tokens_a_parameter(name):
    recipe = load_recipe(REPO / "configs" / f"{name}.yaml")
    tokens = recipe.train.max_steps * recipe.train.tokens_per_step
    assert 18 < tokens / sized_model(recipe).n_params() < 22


def test_the_table_in_the_readme_is_in_step():
    readme = (REPO / "configs" / "README.md").read_text(encoding="utf-8")
    assert readme.endswith(zoo_table()), "run python -m benchmarks.zoo_table"


def test_a_row_of_the_table_by_hand():
    # 16 bytes * 4,395,712; 6 * (245,440 blocks + 64,832 * 64) + 12 * 5 * 64 * 512
    row = "| **4.4 M** | 8.5 M | 70 MB | 28.3 M |"
    assert row in zoo_table()
