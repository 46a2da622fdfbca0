"""Elements of stored types as numbers and back, beside numpy's own conversions."""

from __future__ import annotations

import numpy as np
import pytest

from core.dtypes import DTYPES
from core.sources.elements import values_of, write_values


def test_every_half_is_what_numpy_makes_of_it() -> None:
    words = np.arange(1 << 16, dtype=np.uint16)
    found = values_of(bytearray(words.tobytes()), DTYPES["F16"], np.dtype(np.float32))
    expected = words.view(np.float16).astype(np.float32)
    is_nan = np.isnan(expected)
    assert np.array_equal(np.isnan(found), is_nan)
    assert np.array_equal(found.view(np.uint32)[~is_nan], expected.view(np.uint32)[~is_nan])


def rounded(values: np.ndarray) -> np.ndarray:
    buffer = bytearray(2 * values.size)
    write_values(values, DTYPES["F16"], memoryview(buffer))
    return np.frombuffer(buffer, np.uint16)


@pytest.mark.parametrize("sign", [1, -1])
def test_halves_are_rounded_to_as_numpy_does(sign: int) -> None:
    """Every half, the middle between each two, what lies beside both, and numbers of all exponents."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (halves[1:] + halves[:-1]) / 2
    exact = np.concatenate([halves, middles, [65520, 65519.996, 1e38, np.inf, 1e-45, 2**-25, 2**-24]])
    beside = [np.nextafter(exact, np.float32(towards), dtype=np.float32) for towards in (0, np.inf)]
    random = np.random.default_rng(0).integers(0, 0x7F800000, 100_000, np.uint32).view(np.float32)
    values = sign * np.concatenate([exact, *beside, random]).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    assert np.array_equal(rounded(values), expected.view(np.uint16))


def test_every_nan_is_the_one_of_the_contract() -> None:
    bits = np.array([0x7F800001, 0x7FC00000, 0xFFC00000, 0xFFFFFFFF, 0x7F800000], np.uint32)
    assert rounded(bits.view(np.float32)).tolist() == [0x7E00] * 4 + [0x7C00]
