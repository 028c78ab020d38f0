"""What a block is made of, for the decode steps, which compute it by means of their own.

Training and prefill call a `Block`. With one position a row a decode step does the same in fewer
passes, and reads the block's weights from here. What is not known here is refused: a weight that a
step left out without a word would give other text than the model was trained for.
"""

from dataclasses import dataclass

from mindspore import Parameter, nn

from model.config import ATTENTION_MATRICES, FEED_FORWARD_MATRICES


@dataclass(frozen=True)
class BlockParts:
    """The weights of x + attention(norm(x)), then x + feed_forward(norm(x))."""

    attention_norm: Parameter
    """scale of the first norm, (D,)"""
    attention: tuple[nn.Cell, ...]
    """dense layers of query, key, value and output"""
    ffn_norm: Parameter
    """scale of the second norm, (D,)"""
    feed_forward: tuple[nn.Cell, ...]
    """dense layers of gate, down and up, w2(silu(w1 x) * w3 x)"""


def parts_of(block: nn.Cell) -> BlockParts:
    """The parts of a `Block`.

    Raises:
        TypeError: the block has weights beside these; names them.
    """
    attention = tuple(getattr(block.attention, name) for name in ATTENTION_MATRICES)
    feed_forward = tuple(getattr(block.feed_forward, name) for name in FEED_FORWARD_MATRICES)
    parts = BlockParts(block.attention_norm.weight, attention, block.ffn_norm.weight, feed_forward)
    known = {id(parts.attention_norm), id(parts.ffn_norm)}
    for cell in (*attention, *feed_forward):
        known.update(id(parameter) for parameter in cell.get_parameters())
    unknown = [name for name, p in block.parameters_and_names() if id(p) not in known]
    if unknown:
        raise TypeError(f"the decode steps do not know these weights of a block: {unknown}")
    return parts
