"""The order of the data: a permutation by the draw contract, and the files that it stands in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.draws import counter_of, philox4x32, philox_key
from core.errors import TrainingError
from core.train.orders import (
    batches_of,
    digest_of_order,
    order_text,
    permutation,
    read_order,
    rows_in_order,
)

COUNT = 4200  # more than one block of the contract, and all four lanes


def by_hand(seed: int, order: int, epoch: int, count: int) -> list[int]:
    """One word at a time, as docs/design.md has it."""
    words = []
    for row in range(count):
        counter, lane = counter_of(row, epoch, 4)
        words.append((philox4x32(counter, philox_key(seed, f"order-{order}"))[lane], row))
    return [row for _, row in sorted(words)]


def rows(count: int = 22) -> np.ndarray:
    """Rows of which some were left out."""
    return np.arange(count) * 3 + 1


def order_of(order: int, epoch: int, *, same: bool) -> list[int]:
    found = rows_in_order(rows(), seed=3, order=order, epoch=epoch, batch=4, same_batches=same)
    return [int(row) for row in found]


def test_a_permutation_is_the_sorted_words_of_the_contract() -> None:
    found = permutation(2**63 + 7, 3, 2, COUNT)
    assert found.tolist() == by_hand(2**63 + 7, 3, 2, COUNT)
    assert sorted(found) == list(range(COUNT))


def test_orders_epochs_and_seeds_have_permutations_of_their_own() -> None:
    made = [(0, 1, 1), (0, 1, 2), (0, 2, 1), (0, 2, 2), (1, 1, 1)]
    found = {tuple(permutation(*which, 50).tolist()) for which in made}
    assert len(found) == len(made)


def test_first_places_are_taken_evenly() -> None:
    """Of 3,000 orders of 4 rows each row comes first in a quarter; six standard deviations are 3.6 %."""
    first = [int(permutation(0, order, 1, 4)[0]) for order in range(1, 3001)]
    assert np.abs(np.bincount(first, minlength=4) / 3000 - 0.25).max() < 0.036


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_rows(count: int) -> None:
    assert permutation(0, 1, 1, count).tolist() == list(range(count))


def test_the_rows_that_there_are_each_once() -> None:
    assert sorted(order_of(2, 1, same=False)) == rows().tolist()


def test_same_batches_are_those_of_order_one_in_other_places() -> None:
    for epoch in (1, 2):
        first = [tuple(batch) for batch in batches_of(np.array(order_of(1, epoch, same=False)), 4)]
        assert [len(batch) for batch in first] == [4, 4, 4, 4, 4, 2]
        assert order_of(1, epoch, same=True) == [row for batch in first for row in batch]
        for order in (2, 3):
            moved = [tuple(batch) for batch in batches_of(np.array(order_of(order, epoch, same=True)), 4)]
            assert set(moved) == set(first)
            assert moved != first
            assert moved[-1] == first[-1], "a smaller batch would cut the others elsewhere"
    assert order_of(2, 1, same=True) != order_of(3, 1, same=True)


def test_batches_of_different_orders_have_other_members_without() -> None:
    one, two = (
        {frozenset(batch.tolist()) for batch in batches_of(np.array(order_of(order, 1, same=False)), 4)}
        for order in (1, 2)
    )
    assert not one & two


class TestFiles:
    def test_a_file_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        path = tmp_path / "epoch-1.txt"
        path.write_bytes(order_text([2, 0, 11]))
        assert path.read_text() == "2\n0\n11\n"
        assert read_order(path, digest_of_order(b"2\n0\n11\n")).tolist() == [2, 0, 11]

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "epoch-1.txt"
        path.write_bytes(order_text([2, 1, 0]))
        with pytest.raises(TrainingError, match="is not the order that the training began with"):
            read_order(path, digest_of_order(order_text([0, 1, 2])))

    @pytest.mark.parametrize("line", ["", "-1", "1.5", "x", "1" * 20, "²"])
    def test_what_is_no_number_is_named_by_its_line(self, tmp_path: Path, line: str) -> None:
        path = tmp_path / "epoch-1.txt"
        path.write_text(f"0\n{line}\n1\n", encoding="utf-8")
        with pytest.raises(TrainingError, match="line 2 is not the number of a row"):
            read_order(path)
