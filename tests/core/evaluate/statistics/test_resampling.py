"""The draw contract's stream 3, against the pure Python oracle and the contract's own words."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

from core import draws
from core.cancel import CancelToken
from core.errors import Cancelled, DataError
from core.evaluate.statistics import resampling

DIGEST = "00112233445566778899aabbccddeeff"
KEY = (0x33221100, 0x77665544)  # the digest's first 8 bytes, two little-endian words


def word(element: int, draw: int) -> int:
    """From docs/design.md, 2.2, alone."""
    quad = (element // 4096) * 1024 + element % 1024
    counter = (quad % 2**32, quad // 2**32, draw, 3)
    return int(oracle.philox4x32_10(counter, KEY)[element % 4096 // 1024])


def test_the_key_is_the_first_eight_bytes_of_the_digest() -> None:
    assert resampling.data_key(DIGEST) == KEY
    assert resampling.data_key(DIGEST[:16] + "0" * 16) == KEY


@pytest.mark.parametrize("digest", ["", "0011", "g" * 32, "0" * 15])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(DataError, match="is no digest of data"):
        resampling.data_key(digest)


def test_arrays_of_counters_give_the_known_answers() -> None:
    """Random123, tests/kat_vectors."""
    zero = draws.philox4x32((np.zeros(3, np.uint64), 0, 0, 0), (0, 0))
    assert [int(lane[1]) for lane in zero] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    counter = tuple(np.full(2, part, np.uint64) for part in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    digits = draws.philox4x32(counter, (0xA4093822, 0x299F31D0))  # type: ignore[arg-type]
    assert [int(lane[1]) for lane in digits] == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@pytest.mark.parametrize("count", [1, 30, 1024, 1025, 2500, 4096, 4097, 9000])
def test_each_word_is_the_contracts(count: int) -> None:
    rows = [0, 1, 9998, 2**32 - 1]
    words = resampling.draw_words(KEY, rows, count)
    assert words.shape == (4, count)
    looked_at = sorted({0, 1, 1023, 1024, 2047, 3071, 3072, 4095, 4096, 5119, 5120, count - 1, count // 2})
    for element in (element for element in looked_at if element < count):
        assert words[:, element].tolist() == [word(element, draw) for draw in rows]


@pytest.mark.parametrize("units", [1, 7, 3000])
def test_resamples_take_word_times_n_over_two_to_the_32(units: int) -> None:
    taken = np.concatenate(list(resampling.resamples(DIGEST, units, count=25)))
    assert taken.shape == (25, units)
    for draw, element in [(0, 0), (1, units - 1), (24, units // 2)]:
        assert taken[draw, element] == (word(element, draw) * units) >> 32


def test_resamples_are_the_same_however_many_are_asked_for() -> None:
    few = np.concatenate(list(resampling.resamples(DIGEST, 50, count=10)))
    many = np.concatenate(list(resampling.resamples(DIGEST, 50)))
    assert len(many) == 9999
    assert (many[:10] == few).all()
    assert not (many[0] == many[1]).all()


@pytest.mark.parametrize(
    ("units", "count"), [(20, 9999), (20_000, 9999), (20_001, 9959), (100_000, 1999), (100_001, 0), (0, 9999)]
)
def test_fewer_resamples_of_many_samples(units: int, count: int) -> None:
    assert resampling.resample_count(units) == count
    assert count * units <= 2e8
    assert (count + 1) % 40 in (0, 1)  # 2.5 % of count + 1 is whole


def test_halves_are_the_smaller_words_and_the_rest() -> None:
    first, second = resampling.halves(DIGEST, 31)
    order = sorted(range(31), key=lambda unit: (word(unit, 2**32 - 1), unit))
    assert first.tolist() == sorted(order[:15])
    assert second.tolist() == sorted(order[15:])
    other, _ = resampling.halves(DIGEST, 31, split=2)
    order = sorted(range(31), key=lambda unit: (word(unit, 2**32 - 3), unit))
    assert other.tolist() == sorted(order[:15])


def test_groups_are_numbered_as_they_appear() -> None:
    assert resampling.groups_as_numbers(["b", "a", "b", "c"], 4).tolist() == [0, 1, 0, 2]
    assert resampling.groups_as_numbers(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="3 groups for 4 samples"):
        resampling.groups_as_numbers(["a", "b", "c"], 4)


def test_it_can_be_cancelled() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(resampling.resamples(DIGEST, 50, cancel=cancel))
