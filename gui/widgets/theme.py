"""Colours, distances and type sizes, each in one place."""

from __future__ import annotations

from math import cos, radians, sin

from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from gui.widgets.contrast import standing_out
from gui.widgets.plain import PlainLabel

__all__ = [
    "ERROR",
    "GRID",
    "SUCCESS",
    "accent_button",
    "accent_of",
    "apply_theme",
    "as_text",
    "heading",
    "is_dark",
    "model_colour",
    "palette",
    "quiet_label",
    "secondary",
]

GRID = 8
"""Pixels; every margin and distance is a multiple, or half of one."""

# Okabe and Ito, "Color Universal Design", 2008, with a grey for their black. Few colours stand out on white
# and on black, so there are two sets. On dark grounds only their blue is too dark. On light ones most keep
# the hue and are darker, for a contrast of 3, and no closer to each other for those who see fewer colours.
_ON_DARK = ("#2288CC", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")
_ON_LIGHT = ("#0072B2", "#B9800D", "#1A9373", "#9C4078", "#3A93C4", "#8F3A00", "#776C00", "#50545C")
_LIGHTNESS_ON_LIGHT, _LIGHTNESS_ON_DARK = 0.58, 0.68
_GOLDEN_ANGLE = 137.508

SUCCESS = QColor("#009E73")
ERROR = QColor("#D55E00")
"""Of marks, on light and dark grounds; words are written `as_text` in them."""

_LIGHT = {
    QPalette.ColorRole.Window: "#F3F4F6",
    QPalette.ColorRole.WindowText: "#1C2128",
    QPalette.ColorRole.Base: "#FFFFFF",
    QPalette.ColorRole.AlternateBase: "#F7F8FA",
    QPalette.ColorRole.Text: "#1C2128",
    QPalette.ColorRole.Button: "#FAFBFC",
    QPalette.ColorRole.ButtonText: "#1C2128",
    QPalette.ColorRole.BrightText: "#FFFFFF",
    QPalette.ColorRole.ToolTipBase: "#FFFFFF",
    QPalette.ColorRole.ToolTipText: "#1C2128",
    QPalette.ColorRole.PlaceholderText: "#5E6672",
    QPalette.ColorRole.Highlight: "#2B6CB8",
    QPalette.ColorRole.HighlightedText: "#FFFFFF",
    QPalette.ColorRole.Accent: "#2B6CB8",
    QPalette.ColorRole.Link: "#2B6CB8",
    QPalette.ColorRole.Light: "#FFFFFF",
    QPalette.ColorRole.Midlight: "#ECEEF1",
    QPalette.ColorRole.Mid: "#C9CED6",
    QPalette.ColorRole.Dark: "#A9B0BA",
    QPalette.ColorRole.Shadow: "#6E7681",
}
_LIGHT_DISABLED = "#828A96"

_DARK = {
    QPalette.ColorRole.Window: "#22262C",
    QPalette.ColorRole.WindowText: "#E4E7EB",
    QPalette.ColorRole.Base: "#191C21",
    QPalette.ColorRole.AlternateBase: "#1E2228",
    QPalette.ColorRole.Text: "#E4E7EB",
    QPalette.ColorRole.Button: "#2F353D",
    QPalette.ColorRole.ButtonText: "#E4E7EB",
    QPalette.ColorRole.BrightText: "#FFFFFF",
    QPalette.ColorRole.ToolTipBase: "#2F353D",
    QPalette.ColorRole.ToolTipText: "#E4E7EB",
    QPalette.ColorRole.PlaceholderText: "#99A2AF",
    # White can be read on it; and because its blue is above 201, Fusion draws a lighter frame for the focus.
    QPalette.ColorRole.Highlight: "#2F74CC",
    QPalette.ColorRole.HighlightedText: "#FFFFFF",
    QPalette.ColorRole.Accent: "#7DB1EC",
    QPalette.ColorRole.Link: "#7DB1EC",
    QPalette.ColorRole.Light: "#3C434C",
    QPalette.ColorRole.Midlight: "#353B44",
    QPalette.ColorRole.Mid: "#3F4650",
    QPalette.ColorRole.Dark: "#15181C",
    QPalette.ColorRole.Shadow: "#0D0F12",
}
_DARK_DISABLED = "#7A8390"

_GROUNDS = (QPalette.ColorRole.Window, QPalette.ColorRole.Base, QPalette.ColorRole.AlternateBase)
"""What words stand on."""


_EDGES = {
    ("QCheckBox", "QRadioButton"): ("#747B86", "#727A86"),
    ("QLineEdit", "QAbstractSpinBox", "QComboBox"): ("#AEAFB0", "#3F4650"),
}
"""Of which widgets, and their colours in the light and the dark theme. Without one a check box is not seen;
those of fields are quiet, so that the focus stands out."""

_FUSION_DARKENS = 140
"""Percent: Fusion draws edges in the colour of the window, but darker, which nobody sees on a dark one."""


def palette(*, dark: bool) -> QPalette:
    """The light or the dark palette."""
    result = QPalette()
    for role, colour in (_DARK if dark else _LIGHT).items():
        result.setColor(role, QColor(colour))
    disabled = QColor(_DARK_DISABLED if dark else _LIGHT_DISABLED)
    for role in (
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
        QPalette.ColorRole.PlaceholderText,
        QPalette.ColorRole.Highlight,
        QPalette.ColorRole.Accent,
    ):
        result.setColor(QPalette.ColorGroup.Disabled, role, disabled)
    return result


def apply_theme(application: QApplication, *, dark: bool = False) -> None:
    """Fusion, in the light or the dark palette."""
    application.setStyle("Fusion")
    colours = palette(dark=dark)
    application.setPalette(colours)
    for kinds, edges in _EDGES.items():
        # None of them has the window's colour as its ground.
        colours.setColor(QPalette.ColorRole.Window, QColor(edges[dark]).lighter(_FUSION_DARKENS))
        for kind in kinds:
            application.setPalette(colours, kind)  # type: ignore[arg-type]  # takes text, not bytes as it says


def is_dark(colours: QPalette) -> bool:
    """Whether `colours` are those of the dark theme."""
    return colours.color(QPalette.ColorRole.Base).lightness() < 128


def accent_of(colours: QPalette) -> QColor:
    """The one accent colour."""
    return colours.color(QPalette.ColorRole.Accent)


def as_text(colour: QColor, colours: QPalette) -> QColor:
    """`colour`, dark or light enough to be read on the grounds of the palette `colours`."""
    return standing_out(colour, [colours.color(role) for role in _GROUNDS], 4.5)


def model_colour(number: int, colours: QPalette | None = None) -> QColor:
    """The colour of sub-model `number` (0-based), the same everywhere; it stands out in either theme.

    Args:
        colours: those of what it is drawn in, which on paper are light; None for the application's.
    """
    dark = is_dark(colours or QGuiApplication.palette())
    named = _ON_DARK if dark else _ON_LIGHT
    if number < len(named):
        return QColor(named[number])
    return _equally_light(number * _GOLDEN_ANGLE % 360, _LIGHTNESS_ON_DARK if dark else _LIGHTNESS_ON_LIGHT)


def _equally_light(hue: float, lightness: float) -> QColor:
    """The colour of this hue, in degrees, at this OKLCH lightness and chroma 0.11.

    Source: Björn Ottosson, "A perceptual color space for image processing", 2020.
    """
    chroma = 0.11
    a, b = chroma * cos(radians(hue)), chroma * sin(radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    encoded = (1.055 * max(part, 0.0) ** (1 / 2.4) - 0.055 for part in linear)
    return QColor.fromRgbF(*(min(max(part, 0.0), 1.0) for part in encoded))


def heading(text: str) -> QLabel:
    """A label in the one size for headings."""
    label = PlainLabel(text)
    font = QFont(label.font())
    font.setPointSizeF(font.pointSizeF() * 1.15)
    font.setWeight(QFont.Weight.DemiBold)
    label.setFont(font)
    return label


def secondary(widget: QWidget) -> None:
    """Give `widget` the quieter text colour."""
    widget.setForegroundRole(QPalette.ColorRole.PlaceholderText)


def quiet_label() -> PlainLabel:
    """An empty label for a sentence of `secondary` text."""
    label = PlainLabel()
    label.setWordWrap(True)
    secondary(label)
    return label


def accent_button(button: QPushButton) -> None:
    """Paint `button`, the main one of the window, in the accent colour; to be called on palette changes."""
    colours = QPalette(QGuiApplication.palette())
    for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):
        # Fusion lightens it again, most of all at the upper edge.
        accent = colours.color(QPalette.ColorRole.Highlight).darker(165 if is_dark(colours) else 150)
        colours.setColor(group, QPalette.ColorRole.Button, accent)
        colours.setColor(group, QPalette.ColorRole.ButtonText, QColor("#FFFFFF"))
    if button.palette() != colours:
        button.setPalette(colours)
