"""Do the draws look random? Ten million of each kind, and generators that are broken to compare with.

Every check gives a number of standard deviations. The right generator stays below 4.5 in all of
them; each broken one must be far out in at least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from core.draws import BLOCK, philox_key
from core.kernels.cpu.selecting import philox_block

BLOCKS = 2560
SIZE = BLOCKS * BLOCK
"""10,485,760 words."""

NAME = "model.layers.0.mlp.up_proj.weight"
LAGS = (1, 2, 64, 1023, 1024, 2048, 4096, 65536)
OTHERS = ({"draw": 1}, {"draw": 2}, {"seed": 8}, {"seed": 7 + 2**32}, {"name": NAME.replace("0", "1")})

Words = Callable[..., np.ndarray]


def words_of(draw: int = 0, seed: int = 7, name: str = NAME) -> np.ndarray:
    """The words that the kernels draw for the first elements of a tensor. [SIZE] uint32"""
    key = tuple(np.uint64(word) for word in philox_key(seed, name))
    words = np.empty(SIZE, np.uint32)
    for block in range(BLOCKS):
        philox_block(block, draw, *key, words[block * BLOCK : (block + 1) * BLOCK])
    return words


def one_word_for_four_lanes(**which: object) -> np.ndarray:
    words = words_of(**which).reshape(BLOCKS, 4, BLOCK // 4)
    return np.broadcast_to(words[:, :1], words.shape).reshape(-1)


def the_draw_forgotten(draw: int = 0, **which: object) -> np.ndarray:
    return words_of(**which)


def half_of_the_seed_forgotten(seed: int = 7, **which: object) -> np.ndarray:
    return words_of(seed=seed % 2**32, **which)


def the_name_forgotten(name: str = NAME, **which: object) -> np.ndarray:
    return words_of(**which)


def a_counter_times_a_constant(draw: int = 0, seed: int = 7, name: str = NAME) -> np.ndarray:
    start = np.uint32(hash((draw, seed, name)) & 0xFFFFFFFF)
    return np.arange(SIZE, dtype=np.uint32) * np.uint32(0x9E3779B9) + start


def a_bit_that_leans(**which: object) -> np.ndarray:
    words = words_of(**which)
    return np.where(np.arange(SIZE) % 200 == 0, words | np.uint32(1 << 31), words)


def picks_of_the_low_bits(**which: object) -> np.ndarray:
    """Bits 0 to 7 repeated in all bytes: even shares of 256 cells, and hardly any others."""
    return (words_of(**which) & np.uint32(0xFF)) * np.uint32(0x01010101)


def uniformity(words: np.ndarray) -> float:
    deviates = [chi_squared(np.bincount((words >> shift) & 0xFF, minlength=256)) for shift in (0, 12, 24)]
    counts = [2, 3, 7, 10, 50]
    picks = [(words.astype(np.uint64) * np.uint64(count)) >> np.uint64(32) for count in counts]
    deviates += [
        chi_squared(np.bincount(pick.astype(np.int64), minlength=count))
        for pick, count in zip(picks, counts, strict=True)
    ]
    deviates.append(chi_squared(np.bincount((words >> 8) % 4093, minlength=4093)))
    return max(map(abs, deviates))


def independence_of_elements(words: np.ndarray) -> float:
    values = words / np.float32(2**32) - np.float32(0.5)
    return max(abs(correlation(values[:-lag], values[lag:])) for lag in LAGS)


def independence_of_draws_seeds_and_names(generator: Words) -> float:
    one = generator()
    deviates = []
    for which in OTHERS:
        other = generator(**which)
        deviates.append(correlation(one / 2**32 - 0.5, other / 2**32 - 0.5))
        cells = (one >> 28).astype(np.int64) * 16 + (other >> 28)
        deviates.append(chi_squared(np.bincount(cells, minlength=256)))
    return max(map(abs, deviates))


def chi_squared(counts: np.ndarray) -> float:
    """How many standard deviations chi-squared lies off its mean, for equally likely cells."""
    expected = counts.sum() / counts.size
    statistic = float(((counts - expected) ** 2).sum() / expected)
    freedom = counts.size - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """The correlation of values uniform over (-1/2, 1/2), in standard deviations."""
    return float(np.dot(one, two)) * 12 / math.sqrt(one.size)


def test_words_are_uniform() -> None:
    assert uniformity(words_of()) < 4.5
    assert uniformity(words_of(draw=9)) < 4.5


def test_words_of_different_elements_are_independent() -> None:
    assert independence_of_elements(words_of()) < 4.5


def test_words_of_different_draws_seeds_and_tensors_are_independent() -> None:
    assert independence_of_draws_seeds_and_names(words_of) < 4.5


@pytest.mark.parametrize("broken", [a_bit_that_leans, picks_of_the_low_bits])
def test_uneven_words_are_noticed(broken: Words) -> None:
    assert uniformity(broken()) > 10


@pytest.mark.parametrize("broken", [one_word_for_four_lanes, a_counter_times_a_constant])
def test_elements_that_hang_together_are_noticed(broken: Words) -> None:
    assert independence_of_elements(broken()) > 10


@pytest.mark.parametrize("broken", [the_draw_forgotten, half_of_the_seed_forgotten, the_name_forgotten])
def test_a_forgotten_input_is_noticed(broken: Words) -> None:
    assert independence_of_draws_seeds_and_names(broken) > 10
