"""Words and marks stand out from what they are on, in both themes, by the measure of WCAG 2.2."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gui.widgets.contrast import contrast
from gui.widgets.theme import (
    ERROR,
    SUCCESS,
    accent_button,
    accent_of,
    apply_theme,
    as_text,
    is_dark,
    model_colour,
    palette,
)

Role, Group = QPalette.ColorRole, QPalette.ColorGroup

GROUNDS = (Role.Window, Role.Base, Role.AlternateBase, Role.Button, Role.ToolTipBase)
MODELS = 60

# Machado, Oliveira and Fernandes, 2009: what of linear sRGB is seen without one of the cones.
_NO_RED = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
_NO_GREEN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[QPalette]:
    """The palette, which is that of the application, too."""
    before = qapp.palette()
    apply_theme(qapp, dark=request.param == "dark")
    yield palette(dark=request.param == "dark")
    qapp.setPalette(before)


def test_words_can_be_read_on_every_ground(theme: QPalette) -> None:
    for role in (Role.WindowText, Role.Text, Role.ButtonText, Role.PlaceholderText, Role.Link):
        for ground in GROUNDS:
            assert contrast(theme.color(role), theme.color(ground)) >= 4.5, (role, ground)
    assert contrast(theme.color(Role.HighlightedText), theme.color(Role.Highlight)) >= 4.5
    assert contrast(theme.color(Role.ToolTipText), theme.color(Role.ToolTipBase)) >= 4.5


def test_what_is_disabled_can_be_read_and_told_from_what_is_not(theme: QPalette) -> None:
    for role in (Role.WindowText, Role.Text, Role.ButtonText):
        quiet = theme.color(Group.Disabled, role)
        for ground in GROUNDS:
            assert contrast(quiet, theme.color(Group.Disabled, ground)) >= 3, (role, ground)
        assert contrast(quiet, theme.color(role)) >= 2
        assert contrast(quiet, theme.color(Role.PlaceholderText)) >= 1.3


def test_the_accent_and_what_says_right_and_wrong_stand_out(theme: QPalette) -> None:
    for ground in (theme.color(role) for role in GROUNDS):
        for mark in (accent_of(theme), SUCCESS, ERROR):
            assert contrast(mark, ground) >= 3, (mark.name(), ground.name())
    for ground in (theme.color(role) for role in (Role.Window, Role.Base, Role.AlternateBase)):
        for words in (accent_of(theme), as_text(SUCCESS, theme), as_text(ERROR, theme)):
            assert contrast(words, ground) >= 4.5, (words.name(), ground.name())


def test_words_in_a_colour_keep_its_hue(theme: QPalette) -> None:
    for colour in (SUCCESS, ERROR):
        apart = abs(as_text(colour, theme).hslHue() - colour.hslHue())
        assert min(apart, 360 - apart) <= 8
    assert as_text(theme.color(Role.Text), theme) == theme.color(Role.Text)


def test_colours_of_sub_models_stand_out(theme: QPalette) -> None:
    for number in range(MODELS):
        for ground in (Role.Window, Role.Base, Role.AlternateBase):
            assert contrast(model_colour(number), theme.color(ground)) >= 3, (number, ground)


def oklab(colour: QColor, seen: np.ndarray) -> np.ndarray:
    parts = np.array([colour.redF(), colour.greenF(), colour.blueF()])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    red, green, blue = np.clip(seen @ linear, 0, 1)
    long = 0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue
    medium = 0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue
    short = 0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue
    return np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    ) @ np.cbrt([long, medium, short])


@pytest.mark.parametrize(
    ("seen", "least"), [(np.eye(3), 0.1), (np.array(_NO_RED), 0.033), (np.array(_NO_GREEN), 0.033)]
)
def test_the_first_eight_sub_models_are_told_apart(theme: QPalette, seen: np.ndarray, least: float) -> None:
    """By everybody: 0.033 is the distance of the closest two of Okabe and Ito's, with a grey."""
    colours = [oklab(model_colour(number), seen) for number in range(8)]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(colours, 2)) >= 0.98 * least


@pytest.mark.parametrize(
    ("kind", "least", "points"),
    [
        *((kind, 3, 30) for kind in (QLineEdit, QPushButton, QComboBox, QSpinBox, QToolButton)),
        (QCheckBox, 1.2, 60),  # its edge, and the ground of its words
    ],
)
def test_the_focus_can_be_seen(
    qtbot: QtBot, theme: QPalette, kind: type[QWidget], least: float, points: int
) -> None:
    """As many points as an edge has differ from what was there without the focus."""
    window = QWidget()
    qtbot.addWidget(window)
    column = QVBoxLayout(window)
    first, widget = QPushButton("elsewhere"), kind()
    if isinstance(widget, QPushButton | QToolButton | QCheckBox):
        widget.setText("Text")
    if isinstance(widget, QToolButton):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    column.addWidget(first)
    column.addWidget(widget)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    first.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(first.hasFocus)
    without = pixels(widget)
    QTest.keyClick(first, Qt.Key.Key_Tab)
    qtbot.waitUntil(widget.hasFocus)
    changed = luminances(pixels(widget)), luminances(without)
    stands_out = (np.maximum(*changed) + 0.05) / (np.minimum(*changed) + 0.05) >= least
    assert stands_out.sum() >= points, (kind.__name__, stands_out.sum())


@pytest.mark.parametrize(
    ("kind", "least"), [(QLineEdit, 1.5), (QComboBox, 1.5), (QSpinBox, 1.5), (QCheckBox, 3)]
)
def test_the_edges_of_fields_can_be_seen(
    qtbot: QtBot, theme: QPalette, kind: type[QWidget], least: float
) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    column, field = QVBoxLayout(window), kind()
    column.addWidget(field)
    window.resize(200, 60)
    window.show()
    shown = luminances(pixels(field))
    ground = luminances(pixels(window))[2, 2]
    stands_out = (np.maximum(shown, ground) + 0.05) / (np.minimum(shown, ground) + 0.05) >= least
    assert stands_out.sum() >= 40, stands_out.sum()


def pixels(widget: QWidget) -> np.ndarray:
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    return np.array(image.constBits()).reshape(image.height(), image.width(), 4)[..., 2::-1] / 255.0


def luminances(image: np.ndarray) -> np.ndarray:
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_the_main_button_can_be_read(qtbot: QtBot, theme: QPalette) -> None:
    button = QPushButton()
    qtbot.addWidget(button)
    accent_button(button)
    button.resize(200, 40)
    button.show()
    ground = pixels(button)[6:-6, 6:-6]
    white = 1.05 / (luminances(ground) + 0.05)
    assert white.min() >= 4.5
    assert button.palette().color(Role.ButtonText) == QColor("#FFFFFF")


def test_there_is_one_light_and_one_dark_theme() -> None:
    assert [is_dark(palette(dark=dark)) for dark in (False, True)] == [False, True]
