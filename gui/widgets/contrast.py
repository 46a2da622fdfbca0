"""How far colours stand out from each other, as the guidelines for accessibility (WCAG 2.2) measure it."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtGui import QColor

__all__ = ["contrast", "luminance", "readable_on", "standing_out"]

_MIDDLE = (1.05 * 0.05) ** 0.5 - 0.05
"""The luminance that has the same contrast with white and with black: 4.58."""


def luminance(colour: QColor) -> float:
    """Relative luminance: 0 for black, 1 for white."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.redF(), colour.greenF(), colour.blueF())
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: QColor, other: QColor) -> float:
    """1 for the same to 21 for black on white; text needs 4.5, a mark or an edge 3."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_on(ground: QColor) -> QColor:
    """White or black, whichever stands out more on `ground`: by 4.5 at least."""
    return QColor("#000000" if luminance(ground) > _MIDDLE else "#FFFFFF")


def standing_out(colour: QColor, grounds: Iterable[QColor], least: float) -> QColor:
    """`colour`, as little darker or lighter as gives it a contrast of `least` on every one of `grounds`.

    Args:
        grounds: all of them dark, or all of them light.
    """
    grounds = list(grounds)
    dark = all(luminance(ground) < _MIDDLE for ground in grounds)
    end = QColor("#FFFFFF" if dark else "#000000")
    for percent in range(0, 100, 2):
        mixed = _mixed(colour, end, percent / 100)
        if all(contrast(mixed, ground) >= least for ground in grounds):
            return mixed
    return end


def _mixed(one: QColor, other: QColor, share: float) -> QColor:
    """`share` of `other` in `one`."""
    parts = zip((one.red(), one.green(), one.blue()), (other.red(), other.green(), other.blue()), strict=True)
    return QColor(*(round(first + share * (second - first)) for first, second in parts))
