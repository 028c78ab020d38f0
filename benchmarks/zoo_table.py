"""Rewrite the table at the end of configs/README.md: `python -m benchmarks.zoo_table`."""

from dataclasses import replace

from model.config import ModelConfig
from recipe import REPO, Recipe, load_recipe

CHATGLM_VOCAB = {"chatglm2": 64_794, "chatglm3": 64_798}
# float32 weight, float32 gradient and AdamW's two float32 moments of one parameter
TRAIN_BYTES = 4 + 4 + 4 + 4
HEADER = """\
| recipe | D / N / H / K / F | T | vocabulary | tied | untied | memory | FLOPs a token |
|---|---|---:|---:|---:|---:|---:|---:|
"""


def sized_model(recipe: Recipe) -> ModelConfig:
    """The recipe's model with the vocabulary that its tokenizer will have."""
    tokenizer = recipe.tokenizer
    vocab_size = CHATGLM_VOCAB.get(tokenizer.kind, tokenizer.vocab_size)
    return replace(recipe.model, vocab_size=recipe.model.vocab_size or vocab_size)


def table_row(recipe: Recipe) -> str:
    """One recipe as a row; the parameter count that the recipe trains is in bold."""
    model = sized_model(recipe)
    tied, untied = (f"{replace(model, tie_embeddings=t).n_params() / 1e6:,.1f} M" for t in (1, 0))
    if model.tie_embeddings:
        tied = f"**{tied}**"
    else:
        untied = f"**{untied}**"
    shape = (model.dim, model.n_layers, model.n_heads, model.n_kv_heads, model.hidden_dim)
    cells = [
        f"[{recipe.name}]({recipe.name}.yaml)",
        " / ".join(map(str, shape)),
        f"{model.max_seq_len:,}",
        f"{model.vocab_size:,}",
        tied,
        untied,
        f"{model.n_params() * TRAIN_BYTES / 1e6:,.0f} MB",
        f"{model.flops_per_token() / 1e6:,.1f} M",
    ]
    return f"| {' | '.join(cells)} |\n"


def zoo_table() -> str:
    """All shipped recipes, the smallest first."""
    recipes = [load_recipe(path) for path in REPO.glob("configs/*.yaml")]
    recipes.sort(key=lambda recipe: (sized_model(recipe).n_params(), recipe.name))
    return HEADER + "".join(map(table_row, recipes))


def main() -> None:
    """Replace the table in configs/README.md."""
    readme = REPO / "configs" / "README.md"
    text = readme.read_text(encoding="utf-8").split(HEADER)[0]
    readme.write_text(text + zoo_table(), encoding="utf-8")


if __name__ == "__main__":
    main()
