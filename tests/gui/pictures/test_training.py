"""The curves of a study: which are drawn, how, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_studies import study
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core.study.document import from_json, to_json
from gui.pictures.export import save_picture
from gui.pictures.named import Named
from gui.pictures.selection import Selection
from gui.pictures.training import TrainingPicture
from gui.widgets.theme import model_colour


@pytest.fixture
def picture(qtbot: QtBot) -> TrainingPicture:
    selection = Selection()
    picture = TrainingPicture(selection, Named(selection, selection))
    qtbot.addWidget(picture)
    picture.resize(900, 640)
    with qtbot.waitExposed(picture):
        picture.show()
    return picture


def test_before_there_is_a_study_it_is_said_what_to_do(picture: TrainingPicture) -> None:
    assert "Make sub-models" in picture.sentence
    assert "Open a study" in picture.sentence
    assert not picture.figure_field.isVisible()
    assert picture.tables() == []


def test_a_study_without_curves_says_why(picture: TrainingPicture) -> None:
    picture.show_study(study(curves=False))
    assert "Order-1 does not come from `paramosaic train`" in picture.sentence
    picture.show_study(study())
    assert picture.sentence == ""


def test_each_order_has_a_line_in_its_colour_with_a_band(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.choose("positions")
    plot = picture.plot
    for number, (line, given) in enumerate(zip(plot.lines, study().positions, strict=True)):
        x, y = line.getData()
        assert x.tolist() == list(given.x)
        assert y.tolist() == list(given.mean)
        assert line.opts["pen"].color() == model_colour(number, picture.palette())
        low, high = (end.getData()[1] for end in plot.bands[number].curves)
        assert (low.tolist(), high.tolist()) == (list(given.low), list(given.high))
    _, (bottom, top) = plot.view.viewRange()
    assert bottom < 2.95  # all of the bands is seen
    assert top > 3.45
    assert picture.read_out.text() == "No training imbalance is shown."


def test_the_mean_of_all_orders_stands_out_among_their_differences(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.choose("positions-differences")
    widths = [line.opts["pen"].widthF() for line in picture.plot.lines]
    assert widths == pytest.approx([widths[0]] * 3 + [2.5 * widths[0]])
    assert picture.plot.lines[3].opts["pen"].color() == picture.palette().color(QPalette.ColorRole.Text)
    assert picture.plot.bands[3].brush().color().alpha() == 40  # it is the only one that is seen
    picture.plot.pointed.emit((3, 2))
    assert picture.read_out.text() == (
        "mean of 3 orders, around place 30: +0.2000 nats a token beside the mean of all orders "
        "(95 % from +0.1800 to +0.2200)"
    )
    picture.plot.pointed.emit((0, 0))
    assert picture.read_out.text() == (
        "order-1, around place 10: −0.1000 nats a token beside the mean of all orders"
    )


def test_beside_the_anchor_sub_models_are_crosses(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.choose("anchor")
    plot = picture.plot
    drawn = [len(line.getData()[0]) if line.getData()[0] is not None else 0 for line in plot.lines]
    assert drawn == [4, 0, 0, 4]
    assert len(plot.bands) == 2
    others = [curve for curve in study().anchor if curve.role == "sub-model"]
    assert plot.crosses.points == [point for one in others for point in zip(one.x, one.mean, strict=True)]
    assert plot.getPlotItem().getAxis("bottom").labelText == "place in the first epoch of order-1"
    assert "×</span>&nbsp;order&#8209;2" in picture.legend.text()
    assert picture.file_name == "anchor"


def test_differences_are_those_to_the_mean_of_the_sub_models(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.choose("anchor-differences")
    x, y = picture.plot.lines[0].getData()
    assert x.tolist() == [10.0, 20.0, 30.0, 40.0]
    np.testing.assert_allclose(y, [-0.1, -0.4 / 3, -0.5 / 3, -0.2])  # of 3.1, 9.1 / 3, 8.9 / 3, 2.9
    np.testing.assert_allclose(picture.plot.lines[3].getData()[1], [-0.5, 2.6 - 9.1 / 3, 2.6 - 8.9 / 3, -0.4])
    picture.plot.pointed.emit((3, 0))
    assert picture.read_out.text() == (
        "draw-1, around place 10: −0.5000 nats a token beside the mean of the sub-models"
    )
    picture.show_study(replace(study(), unit="nats a sample"))
    assert picture.choose("anchor-differences")
    picture.plot.pointed.emit((3, 0))
    assert "−0.5000 nats a sample beside" in picture.read_out.text()
    label = picture.plot.getPlotItem().getAxis("left").labelText
    assert label == "loss minus the sub-models' mean, nats a sample"
    without = replace(study(), anchor=(study().anchor[0], study().anchor[3]))
    picture.show_study(without)
    assert not picture.choose("anchor-differences")
    assert picture.choose("anchor")


def test_steps_have_discs_and_a_read_out(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.choose("steps")
    assert picture.plot.discs.points == [(10.0, 3.4), (20.0, 3.3), (10.0, 3.2), (20.0, 3.1)]
    assert picture.plot.thing_at(19.0, 3.31) == (0, 1)
    picture.plot.pointed.emit((0, 1))
    assert picture.read_out.text() == (
        "single (mean of 3), after 20 steps: loss 3.3000 (95 % from 3.2600 to 3.3400)"
    )
    picture.plot.pointed.emit((1, 0))
    assert picture.read_out.text() == "draw-1, after 10 steps: loss 3.2000"


def test_a_click_marks_a_model_and_the_arrow_keys_go_on(picture: TrainingPicture) -> None:
    picture.show_study(study())
    picture.choose("positions")
    picture.plot.chosen.emit((1, 2))
    assert picture.named.value == {"order-2"}
    pens = [line.opts["pen"].color().alpha() for line in picture.plot.lines]
    assert pens[1] == 255
    assert max(pens[0], pens[2]) < 128
    assert "<b>order&#8209;2</b>" in picture.legend.text()
    picture.plot.setFocus()
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    assert picture.named.value == {"order-3"}
    assert picture.read_out.text().startswith("order-3, around place 30: loss 3.4000")
    QTest.keyClick(picture.plot, Qt.Key.Key_Escape)
    assert picture.named.value == frozenset()
    picture.choose("steps")
    picture.plot.chosen.emit((0, 0))  # a mean over models is none of them
    assert picture.named.value == frozenset()


def test_the_figure_that_tells_the_orders_apart_is_seen_first(picture: TrainingPicture) -> None:
    picture.show_study(study())
    assert picture.file_name == "positions-differences"
    picture.show_study(replace(study(), differences=()))
    assert picture.file_name == "positions"


def test_a_mean_over_orders_has_the_colour_of_none(picture: TrainingPicture) -> None:
    picture.show_study(study())
    picture.choose("steps")
    colour = picture.plot.lines[0].opts["pen"].color()
    assert colour.rgb() == picture.palette().color(QPalette.ColorRole.PlaceholderText).rgb()


@pytest.mark.parametrize("size", [(760, 290), (480, 240), (900, 640)])
def test_it_is_always_said_whose_the_curves_are(
    qtbot: QtBot, picture: TrainingPicture, size: tuple[int, int]
) -> None:
    names = [f"order-{at}-of-a-run-with-a-long-name/epoch-3" for at in range(1, 9)]
    first = study().positions[0]
    picture.resize(*size)
    picture.show_study(
        replace(study(), differences=(), positions=tuple(replace(first, label=name) for name in names))
    )
    assert picture.legend.isVisible()
    assert picture.legend.text().count("■") == 8
    qtbot.waitUntil(lambda: picture.legend.height() >= picture.legend.heightForWidth(picture.legend.width()))
    assert picture.plot.height() > picture.legend.height()


def test_short_names_in_the_legend_are_told_apart(picture: TrainingPicture) -> None:
    first = study().positions[0]
    picture.resize(480, 240)
    names = [f"order-{at}/epoch-3" for at in range(1, 9)]
    picture.show_study(
        replace(study(), differences=(), positions=tuple(replace(first, label=name) for name in names))
    )
    entries = [entry.split("&nbsp;")[1] for entry in picture.legend.text().split("&ensp;")]
    assert len(set(entries)) == 8
    assert all(name in picture.legend.toolTip() for name in names)


@pytest.mark.parametrize("size", [(900, 640), (760, 290), (480, 240)])
def test_what_the_upright_axis_is_stands_beside_it_or_above(
    qtbot: QtBot, picture: TrainingPicture, size: tuple[int, int]
) -> None:
    picture.resize(*size)
    picture.show_study(study())
    label = picture.plot.getPlotItem().getAxis("left").label
    words = "loss minus the orders' mean, nats a token"
    qtbot.waitUntil(lambda: label.isVisible() or picture.explanation.text().startswith(f"Upward: {words}."))
    assert label.isVisible() != ("Upward" in picture.explanation.text())


def test_a_file_has_the_names_of_both_axes_and_the_legend(picture: TrainingPicture, tmp_path: Path) -> None:
    picture.resize(480, 240)
    picture.show_study(study())
    save_picture(picture, tmp_path / "picture.svg")
    texts = " ".join(ElementTree.parse(tmp_path / "picture.svg").getroot().itertext())
    for words in (
        "loss minus the orders' mean, nats a token",
        "place in its own first epoch",
        "order\u20111",
    ):
        assert words in texts


def test_what_is_not_known_is_left_out_also_after_writing_and_reading(picture: TrainingPicture) -> None:
    given = study()
    first = given.positions[0]
    holed = replace(first, mean=(3.0, np.nan, 3.2, 3.0), low=(np.nan, 3.0, 3.1, 2.9))
    read = from_json(to_json(replace(given, positions=(holed, *given.positions[1:]))))
    picture.show_study(read)
    picture.choose("positions")
    assert picture.plot.lines[0].getData()[0].tolist() == [10.0, 30.0, 40.0]
    low = picture.plot.bands[0].curves[0].getData()[1]
    assert low.tolist() == [3.0, 3.1, 2.9]


def test_the_numbers_are_those_of_the_figure(picture: TrainingPicture) -> None:
    picture.show_study(study())
    picture.choose("steps")
    (table,) = picture.tables()
    lines = table.text().splitlines()
    assert (table.name, lines[0]) == ("steps", "model,role,step,loss,low,high")
    assert lines[1] == "single (mean of 3),single,10.0,3.4,3.36,3.44"
    assert len(lines) == 5
