"""Dropout (Srivastava et al., 2014) whose masks follow from counters, so none is ever saved.

A mask is a pure function of the seed, the optimizer step, the row's place in the global batch, the
layer and the element (counter-based random numbers: Salmon et al., 2011). A resumed run needs no
random state, and neither micro-batches nor the number of ranks change a mask. Whole numbers are
int32 and wrap around; MindSpore's own dropout does not repeat itself, not even under one seed.
"""

import numpy as np
from mindspore import Tensor, nn, ops

CODES_SEED = 2014


class Dropout(nn.Cell):
    """Zeroes a share `rate` of what it is given, and scales the rest by 1 / (1 - rate).

    An element is dropped if code * key, modulo 2^32, falls below rate * 2^32 (multiplicative
    hashing: Dietzfelbinger et al., 1997). Codes are fixed random odd numbers, one for each element
    of a row; a key is a random odd number for each row and each place of use.
    """

    def __init__(self, rate: float, seq_len: int, dim: int, native: bool = False):
        super().__init__()
        self.native = native
        self.threshold, self.scale = round(rate * 2**32) - 2**31, 1 / (1 - rate)
        codes = np.random.default_rng(CODES_SEED).integers(-(2**31), 2**31, (1, seq_len * dim))
        self.codes = Tensor((codes | 1).astype(np.int32))
        if native:
            from model.native.cells import Drop

            self.form = Drop(self.threshold, self.scale)

    def construct(self, x, row_keys, salt):
        """Drop elements of x, (B T, D) float32; row_keys is (B,) int32, salt names the place."""
        keys = mix(row_keys + salt) * 2 + 1
        if self.native:
            return self.form(x, self.codes, keys)
        size = x.size // keys.size
        keep = ops.greater_equal(self.codes[:, :size] * keys.reshape(-1, 1), self.threshold)
        return ops.select(keep.reshape(x.shape), x * self.scale, ops.zeros_like(x))


def mix(x):
    """Whole numbers turned into others that look random, one to one (MurmurHash3's last step)."""
    x = _xor_shifted(x, 16) * -2048144789
    x = _xor_shifted(x, 13) * -1028477387
    return _xor_shifted(x, 16)


def row_keys(seed, step, places):
    """A random number for each row of an optimizer step: int32, shaped like `places`.

    `places`, int32, count the rows of all ranks and micro-batches of the step.
    """
    return mix(mix(mix(ops.zeros_like(places) + seed) + step) + places)


def _xor_shifted(x, bits):
    # The shift copies the sign downwards; it is cut off.
    shifted = ops.bitwise_and(ops.bitwise_right_shift(x, bits), 2 ** (32 - bits) - 1)
    return ops.bitwise_xor(x, shifted)
