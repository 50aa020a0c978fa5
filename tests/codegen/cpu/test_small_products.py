"""Products of small matrices in compiled code are those of numpy in double precision, for all strides and remainders."""

import ctypes

import numpy as np
import pytest
import torch

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.small_products import BYTES, VECTOR, module_text

pytestmark = pytest.mark.skipif(not jit.writes_lines(), reason="the code is for vectors of 512 bits")

# rows, columns, terms: whole tiles; fewer rows than a tile; rows, columns and terms that are left over; one of each
SIZES = [(32, 64, 64), (3, 33, 5), (9, 10, 21), (8, 16, 17), (21, 47, 100), (16, 31, 1), (1, 1, 1), (17, 65, 40)]


def product(a, b, bias, *, transposed):
    """Return ``a @ b + bias`` by the compiled function; arrays of one dtype, b is given as its transpose if ``transposed``."""
    (m, k), n = a.shape, b.shape[0 if transposed else 1]
    size, lanes = a.itemsize, VECTOR // a.itemsize
    c, room = (
        np.full((m + 2, n), 7, a.dtype),
        np.full((-(-k // lanes) * lanes, -(-n // lanes) * lanes), np.nan, a.dtype),
    )
    text = module_text(torch.float32 if size == 4 else torch.float64)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 12)(jit.address(text, lambda: text, "multiply"))
    function(
        a.ctypes.data, a.strides[0], a.strides[1], b.ctypes.data, b.strides[0], c[1].ctypes.data, bias.ctypes.data,
        m, n, k, room.ctypes.data, int(transposed),
    )  # fmt: skip
    assert (c[[0, -1]] == 7).all()  # nothing beside the result is written
    return c[1:-1]


def numbers(*shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("form", ["plain", "first transposed", "second transposed", "rows apart"])
def test_a_product_is_that_of_numpy(sizes, form, dtype):
    m, n, k = sizes
    a, b, bias = numbers(m, k, dtype=dtype), numbers(k, n, dtype=dtype, seed=1), numbers(n, dtype=dtype, seed=2)
    if form == "first transposed":
        a = np.asfortranarray(a)
    if form == "rows apart":
        a, b = np.pad(a, ((0, 0), (0, 3)))[:, :k], np.pad(b, ((0, 0), (0, 5)))[:, :n]
    second = np.ascontiguousarray(b.T) if form == "second transposed" else b

    found = product(a, second, bias, transposed=form == "second transposed")

    expected = a.astype(float) @ b.astype(float) + bias
    scale = np.abs(a).astype(float) @ np.abs(b).astype(float) + np.abs(bias)
    assert (np.abs(found - expected) <= k * np.finfo(dtype).eps * scale).all()


def test_a_number_depends_on_its_own_row_and_column_alone():
    a, b, bias = (numbers(*shape, dtype="float32") for shape in ((21, 40), (40, 33), (33,)))
    whole = product(a, b, bias, transposed=False)

    for rows, columns in ((slice(3, 12), slice(0, 33)), (slice(0, 21), slice(5, 17)), (slice(20, 21), slice(32, 33))):
        part = product(
            np.ascontiguousarray(a[rows]),
            np.ascontiguousarray(b[:, columns]),
            np.ascontiguousarray(bias[columns]),
            transposed=False,
        )
        assert np.array_equal(part, whole[rows, columns])


def test_there_is_code_for_the_dtypes_of_small_nets():
    assert set(BYTES) == {torch.float32, torch.float64}
