"""Pairs of sub-models are told apart, and it is said what that means for a merge."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor

from gui.pictures.agreement_scale import likeness_scale, likeness_text, signs_scale
from gui.pictures.heat_map import without_diagonal
from gui.widgets.theme import palette


def pairs(*cosines: float) -> np.ndarray:
    """Of three sub-models."""
    one, two, three = cosines
    return without_diagonal(np.array([[1, one, two], [one, 1, three], [two, three, 1]]))


def colours(cosines: np.ndarray, *, dark: bool) -> list[QColor]:
    scale = likeness_scale(cosines)
    known = cosines[np.isfinite(cosines)]
    places = (known - scale.low) / (scale.high - scale.low)
    return scale.colour_map(palette(dark=dark)).map(places, mode="qcolor")


@pytest.mark.parametrize("dark", [False, True])
def test_cosines_that_are_near_each_other_have_other_colours(dark: bool) -> None:
    one, two, *_ = colours(pairs(0.825, 0.846, 0.83), dark=dark)
    away = sum(abs(a - b) for a, b in zip(one.getRgb(), two.getRgb(), strict=True))
    assert away > 40


@pytest.mark.parametrize(
    "cosines",
    [(0.825, 0.846, 0.93), (0.8401, 0.8402, 0.84), (0.0, 0.0, 0.0), (1.0, 1.0, 0.9999), (0.02, 0.01, 0.98)],
)
def test_the_scale_holds_all_cosines_and_has_a_least_span(cosines: tuple[float, float, float]) -> None:
    scale = likeness_scale(pairs(*cosines))
    assert 0 <= scale.low <= min(cosines) + 1e-9
    assert max(cosines) - 1e-9 <= scale.high <= 1
    assert scale.high - scale.low >= 0.1 - 1e-9
    assert scale.ticks[0][0] >= scale.low - 1e-9


def test_cosines_of_both_signs_are_around_zero() -> None:
    scale = likeness_scale(pairs(-0.3, 0.1, 0.2))
    assert scale.low == -scale.high
    assert scale.colours == "difference"
    assert likeness_scale(np.full((2, 2), np.nan)).low < 0


def test_shares_of_signs_that_are_alike_look_alike() -> None:
    scale = signs_scale(np.array([1.8, 2.5]))
    assert scale.high - scale.low >= 10


@pytest.mark.parametrize(
    ("cosine", "differ", "said"),
    [
        (0.85, 0.02, "the same way: a merge keeps most"),
        (0.3, 0.2, "partly the same way"),
        (0.01, 0.49, "unrelated"),
        (-0.4, 0.7, "against each other: a merge cancels"),
    ],
)
def test_it_is_said_what_is_good(cosine: float, differ: float, said: str) -> None:
    assert said in likeness_text(cosine, differ)
    signs = "few" if differ < 0.1 else "some" if differ < 0.3 else "many"
    assert likeness_text(cosine, differ).endswith(f"{signs} signs conflict")
    assert "signs" not in likeness_text(cosine, None)
