"""How the window writes shares and ages."""

from __future__ import annotations

import pytest

from gui.words import ago_text, percent_text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0 %"), (1e-6, "less than 1 %"), (0.6399, "63 %"), (0.9999, "99 %"), (1.0, "100 %")],
)
def test_a_share_is_never_more_than_it_is(fraction: float, text: str) -> None:
    assert percent_text(fraction) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "less than a minute ago"),
        (59.9, "less than a minute ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (7300, "2 h ago"),
        (3600 * 47.9, "47 h ago"),
        (3600 * 48, "2 days ago"),
    ],
)
def test_an_age_in_the_unit_that_says_enough(seconds: float, text: str) -> None:
    assert ago_text(seconds) == text
