"""Colours of maps say the same thing on every ground: bright is where much changed."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor, QPalette

from gui.pictures.scales import Scale, cosine_scale, difference_scale, share_scale
from gui.widgets.contrast import contrast, luminance, readable_on
from gui.widgets.theme import palette

THEMES = [palette(dark=False), palette(dark=True)]


def colours_of(scale: Scale, colours: QPalette) -> list[QColor]:
    """From its low end to its high one."""
    return list(scale.colour_map(colours).map(np.linspace(0, 1, 33), mode="qcolor"))


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> QPalette:
    return palette(dark=request.param == "dark")


def test_bright_is_where_few_deltas_are_zero(theme: QPalette) -> None:
    bright = [luminance(colour) for colour in colours_of(share_scale(np.array([0.0, 100.0]), "%"), theme)]
    assert bright == sorted(bright)
    zero = share_scale(np.array([0.0, 100.0]), "% zero", falling=True)
    bright = [luminance(colour) for colour in colours_of(zero, theme)]
    assert bright == sorted(bright, reverse=True)
    assert bright[0] > 0.5 > 0.1 > bright[-1]


def every_scale() -> list[Scale]:
    values = np.array([-60.0, 60.0])
    shares = [share_scale(np.abs(values), "%", name) for name in ("viridis", "cividis")]
    return [*shares, difference_scale(values, "points"), cosine_scale(values / 100)]


def test_no_cell_has_the_colour_of_the_ground_and_its_value_can_be_read(theme: QPalette) -> None:
    ground = theme.color(QPalette.ColorRole.Base)
    for scale in every_scale():
        for colour in colours_of(scale, theme):
            assert contrast(colour, ground) >= 1.39, (scale.colours, colour.name())
            assert contrast(readable_on(colour), colour) >= 4.5


def test_what_changed_little_is_not_the_loudest_on_a_light_ground() -> None:
    light = palette(dark=False)
    for scale in every_scale():
        for colour in colours_of(scale, light):
            assert contrast(colour, light.color(QPalette.ColorRole.Base)) <= 9.1


def test_small_differences_look_small(theme: QPalette) -> None:
    for low, high in ((1.8, 2.5), (78.0, 80.0), (0.0, 0.4), (99.2, 100.0)):
        scale = share_scale(np.array([low, high]), "%", falling=True)
        assert scale.high - scale.low >= 10
        assert scale.low <= low
        assert high <= scale.high
        assert 0 <= scale.low < scale.high <= 100
        places = (np.array([low, high]) - scale.low) / (scale.high - scale.low)
        one, other = scale.colour_map(theme).map(places, mode="qcolor")
        assert contrast(one, other) < 1.7


def test_large_differences_take_the_whole_scale() -> None:
    scale = share_scale(np.array([22.0, 97.0, np.nan]), "%")
    assert (scale.low, scale.high) == (20.0, 100.0)


def test_two_percentage_points_are_no_strong_colour(theme: QPalette) -> None:
    scale = difference_scale(np.array([-0.4, 2.0]), "percentage points")
    assert scale.low == -scale.high
    strong, at_two = scale.colour_map(theme).map(np.array([1.0, 0.5 + 1 / scale.high]), mode="qcolor")
    assert at_two.hslSaturationF() < 0.75 * strong.hslSaturationF()


def test_values_are_written_without_saying_all_of_what_is_nearly_all() -> None:
    scale = share_scale(np.array([0.0, 100.0]), "%")
    assert [scale.text_of(value) for value in (58.94, 99.97, 100.0, 0.0)] == ["58.9", "99.97", "100.0", "0.0"]
    assert difference_scale(np.array([1.0]), "points").text_of(-0.25) == "−0.25"
