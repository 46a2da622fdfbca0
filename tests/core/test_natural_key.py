"""Names in the order in which people count."""

from __future__ import annotations

import random

from core.text import natural_key


def test_numbers_are_counted() -> None:
    ordered = [
        "a",
        "checkpoint-9",
        "checkpoint-10",
        "checkpoint-best",
        "model-1",
        "model-2",
        "Model-10",
        "x2y",
        "x10",
    ]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered


def test_any_name_can_be_sorted() -> None:
    names = ["", "7" * 5000, "٣", "²", "007", "7", "-", "é", "\udc80"]
    assert len(sorted(names, key=natural_key)) == len(names)
    assert sorted(["7", "007"], key=natural_key) == sorted(["007", "7"], key=natural_key)
