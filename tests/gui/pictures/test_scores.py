"""The forest plot: what stands where, what is marked, and which samples are shown beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import log, nan
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_studies import scores, study
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparing import compare
from core.study.document import from_json, to_document
from core.study.values import Study
from gui.pictures.evaluated import Evaluation
from gui.pictures.export import save_picture
from gui.pictures.forest_plot import ForestPlot
from gui.pictures.forest_rows import ForestRow, is_far, near_limit
from gui.pictures.named import Named
from gui.pictures.row_scroll import RowScroll
from gui.pictures.scored import of_study
from gui.pictures.scores import ScoresPicture
from gui.pictures.selection import Selection

Show = Callable[..., ScoresPicture]


@pytest.fixture
def show(qtbot: QtBot) -> Show:
    def shown(width: int = 900, height: int = 640) -> ScoresPicture:
        selection = Selection()
        picture = ScoresPicture(selection, Named(selection, selection))
        qtbot.addWidget(picture)
        picture.resize(width, height)
        with qtbot.waitExposed(picture):
            picture.show()
        return picture

    return shown


def evaluation(*others: Scores, reference: Scores | None = None) -> Evaluation:
    reference = reference or scores("reference", [3.0, 4.0, nan, 5.0, 2.0])
    return Evaluation(
        Path("held-out.jsonl"),
        reference.path,
        (reference, *others),
        compare(reference, others) if others else (),
        ("reference", *(f"short-{one.name}" for one in others)),
        tuple(f"text {at}" for at in range(len(reference.loss))),
    )


def test_before_there_is_anything_it_is_said_what_to_do(show: Show) -> None:
    picture = show()
    assert "Evaluate" in picture.sentence
    assert "Open a study" in picture.sentence
    assert picture.tables() == []
    picture.show_evaluation(evaluation())
    assert picture.sentence.startswith("There is nothing to compare yet")


def test_a_loss_that_is_no_number_is_not_written() -> None:
    document = to_document(study())
    document["rows"][0]["loss"] = {"mean": None, "spread": None, "best": None}
    first, second, *_ = of_study(from_json(json.dumps(document))).rows
    assert (first.loss, second.loss) == ("", "loss 6.0500")


def test_rows_stand_where_their_differences_are(show: Show) -> None:
    picture = show()
    picture.show_study(study(), "my-study")
    picture.show_scale(whole=True)
    assert picture.sentence == ""
    plot = picture.plot
    np.testing.assert_allclose(plot.discs.points, [(0.07, 0), (-0.007, 3), (-0.18, 4)])
    np.testing.assert_allclose(plot.rings.points, [(0.0, 1), (0.001, 2)])  # the reference, and nothing shown
    x, y = plot.intervals["worse"].getData()
    assert list(zip(x[:2], y[:2], strict=True)) == [(0.06, 0), (0.08, 0)]
    right = dict(plot.getPlotItem().getAxis("right")._tickLevels[0])
    assert right[2] == "no difference shown: +0.0010 (−0.0020 to +0.0040)"
    assert right[1] == "reference"
    (left, end), _ = plot.view.viewRange()
    assert left < -0.2
    assert end > 0.08
    assert "left of the dashed line is better" in picture.explanation.text()
    assert picture.read_out.text() == study().sentence


def test_rows_are_sorted_by_difference(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    picture.order_field.setCurrentIndex(1)
    picture.order_field.activated.emit(1)
    left = dict(picture.plot.getPlotItem().getAxis("left")._tickLevels[0])
    assert list(left.values()) == ["scaled", "selection", "single", "average", "base"]
    assert picture.plot.thing_at(0.0, 0.2) == 4


def test_near_zero_what_is_far_away_is_an_arrowhead(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    assert picture.has_far
    (left, right), _ = picture.plot.home
    assert -0.05 < left < -0.009
    assert [place for _, place in picture.plot.heads.points] == [0, 4]
    assert picture.plot.heads._ways == [1, -1]
    assert (picture.plot.heads.points[0][0], picture.plot.heads.points[1][0]) == (right, left)
    picture.scale_field.setCurrentText("Whole scale")
    picture.scale_field.activated.emit(1)
    assert picture.plot.heads.points == []


def test_a_click_marks_a_row_and_the_arrow_keys_go_on(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    picture.plot.chosen.emit(3)
    assert picture.named.value == {"draw-1", "draw-2"}
    assert picture.plot._band.isVisible()
    assert picture.plot._band.getRegion() == (2.5, 3.5)
    assert picture.read_out.text().startswith("selection, against order-2: helps on 60 samples: −0.0070")
    assert "6.0400" in picture.read_out.text()
    picture.plot.setFocus()
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    assert picture.named.value == {"scaled"}
    assert "λ = 2." in picture.read_out.text()
    QTest.keyClick(picture.plot, Qt.Key.Key_Escape)
    assert picture.named.value == frozenset()
    assert not picture.plot._band.isVisible()


def test_a_row_is_marked_that_a_named_model_is_among(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    picture.named.set(frozenset({"order-3"}))
    assert picture.plot._band.getRegion() == (0.5, 1.5)


def test_the_samples_of_a_study_are_read_whole(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    model = picture.samples.samples
    first = [model.data(model.index(0, column)) for column in range(5)]
    assert first == ["17", "7.2500", "6.5000", "−0.7500", "the sample in line 17"]
    picture.samples.selectRow(1)
    assert picture.read_out.text() == "Line 4: 5.0000 before, 5.5000 after. another one ⏎ of two lines"


def test_the_samples_of_an_evaluation_are_those_of_the_model_that_is_marked(show: Show) -> None:
    better = scores("better", [2.0, 3.5, nan, 4.9, 2.25])
    worse = scores("worse", [3.0, 4.5, nan, 8.0, 2.0])
    picture = show()
    picture.show_evaluation(evaluation(better, worse))
    rows = picture.samples.samples.rows
    assert [(one.line, one.before, one.after) for one in rows[:2]] == [(1, 3.0, 2.0), (2, 4.0, 3.5)]
    assert len(rows) == 4  # nothing is scored in line 3
    picture.plot.chosen.emit(2)
    rows = picture.samples.samples.rows
    assert [(one.line, one.change, one.text) for one in rows[:1]] == [(4, 3.0, "text 3")]
    assert "short-worse against reference" in picture._samples_title.text()


def test_the_lines_of_a_sample_are_told_apart_in_one(show: Show) -> None:
    picture = show()
    found = evaluation(scores("better", [2.0, 3.5, nan, 4.9, 2.25]))
    picture.show_evaluation(replace(found, texts=("Is 3 a number?\nYes.",) * 5))
    model = picture.samples.samples
    assert model.data(model.index(0, 4)) == "Is 3 a number? ⏎ Yes."
    picture.samples.selectRow(0)
    assert picture.read_out.text() == "Line 1: 3.0000 before, 2.0000 after. Is 3 a number? ⏎ Yes."


def test_models_with_other_tokenizers_are_compared_by_bits_a_byte(show: Show) -> None:
    other = scores("other", [3.0, 4.0, nan, 5.0, 3.0], tokens=2, tokenizer="another")
    picture = show()
    picture.show_evaluation(evaluation(other))
    first = picture.samples.samples.rows[0]
    assert (first.line, first.after) == (4, pytest.approx(5.0 * 2 / (8 * log(2))))
    assert first.before == pytest.approx(5.0 * 4 / (8 * log(2)))
    assert "bits" in picture.plot.getPlotItem().getAxis("bottom").labelText


def test_a_study_gives_way_to_an_evaluation_and_comes_back(show: Show) -> None:
    picture = show()
    picture.show_study(study(), "my-study")
    picture.show_evaluation(evaluation())
    assert len(picture.plot.rows) == 5  # nothing is compared yet
    better = scores("better", [2.0, 3.5, nan, 4.9, 2.0])
    picture.show_evaluation(evaluation(better))
    assert [one.title for one in picture.plot.rows] == ["reference", "short-better"]
    assert [picture.of_field.itemText(at) for at in range(2)] == ["Study my-study", "held-out.jsonl"]
    picture.of_field.setCurrentIndex(0)
    picture.of_field.activated.emit(0)
    assert len(picture.plot.rows) == 5
    picture.show_evaluation(None)
    assert not picture.of_field.isVisible()
    assert len(picture.plot.rows) == 5


def test_an_evaluation_that_is_started_is_what_is_shown(show: Show) -> None:
    picture = show()
    found = evaluation(scores("better", [2.0, 3.5, nan, 4.9, 2.0]))
    picture.show_evaluation(found)
    picture.show_study(study(), "my-study")
    assert picture.of_field.currentText() == "Study my-study"
    picture.prefer_evaluation()
    assert picture.of_field.currentText() == "held-out.jsonl"
    assert [one.title for one in picture.plot.rows] == ["reference", "short-better"]


def test_an_evaluation_that_is_started_is_shown_as_soon_as_it_compares(show: Show) -> None:
    picture = show()
    found = evaluation(scores("better", [2.0, 3.5, nan, 4.9, 2.0]))
    picture.show_evaluation(evaluation())
    picture.show_study(study(), "my-study")
    picture.prefer_evaluation()
    assert len(picture.plot.rows) == 5
    picture.show_evaluation(found)
    assert len(picture.plot.rows) == 2


def test_a_row_without_an_interval_or_with_another_measure_is_said_in_words(show: Show) -> None:
    given = study()
    odd = given.rows[2].comparison
    assert odd is not None
    rows = list(given.rows)
    rows[2] = replace(rows[2], comparison=replace(odd, unit="bits a byte", measure="bits a byte"))
    alone = given.rows[3].comparison
    assert alone is not None
    rows[3] = replace(rows[3], comparison=replace(alone, low=-np.inf, high=np.inf, verdict="too few to say"))
    picture = show()
    picture.show_study(replace(given, rows=tuple(rows)))
    right = dict(picture.plot.getPlotItem().getAxis("right")._tickLevels[0])
    assert right[2].endswith("bits a byte")
    assert right[3] == "too few to say: −0.0070"
    np.testing.assert_allclose(picture.plot.rings.points, [(0.0, 1), (-0.007, 3)])


def test_an_interval_beside_zero_that_counts_as_no_difference_is_explained(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    assert "leaves zero out" not in picture.explanation.text()
    given = study()
    odd = given.rows[2].comparison
    assert odd is not None
    rows = list(given.rows)
    rows[2] = replace(rows[2], comparison=replace(odd, low=0.0005, high=0.0015))
    picture.show_study(replace(given, rows=tuple(rows)))
    assert "leaves zero out" in picture.explanation.text()


def test_in_a_low_picture_models_or_samples_are_seen(show: Show) -> None:
    picture = show(542, 270)
    picture.show_study(study())
    assert picture.plot.isVisible()
    assert not picture.samples.isVisible()
    picture.part_field.setCurrentText("Samples")
    picture.part_field.activated.emit(1)
    assert picture.samples.isVisible()
    assert not picture.plot.isVisible()
    picture.resize(900, 640)
    assert picture.samples.isVisible()
    assert picture.plot.isVisible()
    assert not picture.part_field.isVisible()


def test_the_numbers_are_there_in_full(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    forest, samples = (table.text().splitlines() for table in picture.tables())
    assert forest[0].startswith("model,reference,measure,samples,groups,difference,low,high,p,p adjusted,ver")
    assert (
        forest[4]
        == "selection,order-2,nats a token,60,,-0.006999999999999999,-0.009,-0.005,0.001,0.004,helps,"
    )
    assert samples[1] == "17,7.25,6.5,-0.75,the sample in line 17"


@pytest.mark.parametrize(
    ("reaches", "limit"),
    [
        ([0.0008, 0.001, 0.0017, 0.0049, 0.03], 0.0049),  # what is just better than all others is in sight
        ([0.3, 0.001, 0.002, 0.03, 0.004, 0.003], 0.004),
        ([0.5, 4.0], 0.5),
        ([1.0, 1.5, 4.0], 4.0),  # nothing is far
        ([0.0, 0.0, 1.0], 0.0),
        ([], 0.0),
    ],
)
def test_near_zero_is_what_no_gap_parts_from_the_others(reaches: list[float], limit: float) -> None:
    rows = [ForestRow("", "", "", 0.0, -reach, 0.0, "neither") for reach in reaches]
    assert near_limit(rows) == limit
    assert is_far(rows) == (0 < limit < max(reaches, default=0.0))


def test_an_arrowhead_at_the_end_of_the_scale_is_drawn(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = ForestPlot()
    qtbot.addWidget(plot)
    plot.resize(700, 160)
    drawn: list[int] = []
    monkeypatch.setattr(plot.heads, "draw", lambda painter, number: drawn.append(number))
    with qtbot.waitExposed(plot):
        plot.show()
    for number in range(1, 25):  # of some scales the ends have no digits to spare
        near = 0.00104 * (1 + 0.0007 * number)
        rows = [
            ForestRow("base", "hurts", "", 30 * near, 29 * near, 31 * near, "worse"),
            ForestRow("one", "no difference shown", "", -0.6 * near, -1.5 * near, 0.2 * near, "neither"),
            ForestRow("two", "no difference shown", "", 0.3 * near, -0.6 * near, near, "neither"),
        ]
        plot.show_rows(rows, range(3), "difference", near=True)
        drawn.clear()
        plot.grab()
        assert set(drawn) == {0}, near


def long_study(count: int = 21) -> Study:
    given = study()
    more = [
        replace(given.rows[3], key=f"more-{at}", title=f"more {at}") for at in range(count - len(given.rows))
    ]
    return replace(given, rows=(*given.rows, *more))


def names_beside(plot: ForestPlot) -> dict[int, str]:
    """The names that are in sight, by the place of their row."""
    top, bottom = plot.view.viewRange()[1]
    ticks = plot.getPlotItem().getAxis("left")._tickLevels[0]
    return {at: text for at, text in ticks if top <= at <= bottom}


def test_in_a_low_picture_every_row_in_sight_has_its_name_and_the_others_are_scrolled_to(
    qtbot: QtBot, show: Show
) -> None:
    picture = show(560, 240)
    picture.show_study(long_study())
    plot = picture.plot
    top, bottom = plot.view.viewRange()[1]
    seen = round(bottom - top)
    assert top == pytest.approx(-0.5)
    assert 3 <= seen < 21
    assert list(names_beside(plot)) == list(range(seen))
    bar = picture.findChild(RowScroll)
    assert bar.isVisible()
    bar.setValue(bar.maximum())
    assert list(names_beside(plot)) == list(range(21 - seen, 21))
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_Down)  # the first row is marked, and comes into sight
    assert 0 in names_beside(plot)
    for _ in range(20):
        qtbot.keyClick(plot, Qt.Key.Key_Down)
    assert 20 in names_beside(plot)
    qtbot.keyClick(plot, Qt.Key.Key_0)
    assert list(names_beside(plot)) == list(range(seen))
    picture.resize(900, 1200)
    qtbot.waitUntil(lambda: list(names_beside(plot)) == list(range(21)))
    assert not bar.isVisible()
    picture.resize(560, 240)
    qtbot.waitUntil(bar.isVisible)
    qtbot.waitUntil(lambda: list(names_beside(plot)) == list(range(round(plot.view.viewRange()[1][1] + 0.5))))


def test_the_wheel_scrolls_where_rows_are_out_of_sight(qtbot: QtBot, show: Show) -> None:
    picture = show(560, 240)
    picture.show_study(long_study())
    plot = picture.plot
    x_range, (top, _) = plot.view.viewRange()
    turn(plot, -120)
    assert plot.view.viewRange()[0] == pytest.approx(x_range)
    assert plot.view.viewRange()[1][0] == pytest.approx(top + 3)
    turn(plot, 240)
    assert plot.view.viewRange()[1][0] == pytest.approx(top)


def test_on_paper_all_rows_are_there(show: Show) -> None:
    picture = show(560, 240)
    picture.show_study(long_study())
    picture.set_printing(True)
    assert picture.plot.view.viewRange()[1] == pytest.approx([-0.5, 20.5])


def test_a_file_has_every_row_with_its_name_and_samples(show: Show, tmp_path: Path) -> None:
    picture = show(800, 300)
    picture.show_study(long_study(16))
    save_picture(picture, tmp_path / "scores.svg")
    texts = " ".join(ElementTree.parse(tmp_path / "scores.svg").getroot().itertext())
    for title in ("base", "single", "average", "selection", *(f"more {at}" for at in range(11))):
        assert title in texts
    assert "difference to order-2, nats a token" in texts
    assert "the sample in line 17" in texts
    assert picture.height() == 300
    assert picture.plot.view.viewRange()[1][0] == pytest.approx(-0.5)
    assert len(names_beside(picture.plot)) < 16
    assert picture.minimumSizeHint().height() <= 300


def test_numbers_beside_an_axis_have_the_minus_of_all_texts(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    axis = picture.plot.getPlotItem().getAxis("bottom")
    assert axis.tickStrings([-0.005, 0.0, 0.005], 1.0, 0.005) == ["−0.005", "0", "0.005"]


def test_the_samples_are_under_the_names_of_the_two_models(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    model = picture.samples.samples
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(5)]
    assert heads == ["Line", "order-2", "selection", "Change", "Sample"]
    better = scores("better", [2.0, 3.5, nan, 4.9, 2.25])
    picture.show_evaluation(evaluation(better))
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in (1, 2)]
    assert heads == ["reference", "short-better"]


def test_a_study_says_that_it_keeps_the_samples_of_its_best_merge_only(show: Show) -> None:
    picture = show()
    picture.show_study(study())
    assert picture._samples_title.text().startswith(
        "The samples that changed most: selection against order-2"
    )
    picture.plot.chosen.emit(4)
    said = picture._samples_title.text()
    assert said.startswith("A study keeps the samples of its best merge only: selection against order-2")
    picture.plot.chosen.emit(3)
    assert picture._samples_title.text().startswith("The samples that changed most")


def test_beside_samples_alone_nothing_is_said_of_the_rows(show: Show) -> None:
    picture = show(900, 320)
    picture.show_study(study())
    assert picture.explanation.isVisible()
    assert picture.order_field.isVisible()
    picture.part_field.setCurrentText("Samples")
    picture.part_field.activated.emit(1)
    assert not picture.explanation.isVisible()
    assert not picture.order_field.isVisible()
    assert not picture.scale_field.isVisible()
    picture.part_field.setCurrentText("Models")
    picture.part_field.activated.emit(0)
    assert picture.explanation.isVisible()
    assert picture.scale_field.isVisible()


def test_what_a_study_found_is_read_whole(qtbot: QtBot, show: Show) -> None:
    picture = show(700, 360)
    told = " ".join(["The best merge lowers the loss, but a control does so more, too."] * 4)
    picture.show_study(replace(study(), sentence=told))
    qtbot.waitUntil(lambda: " ".join(picture.read_out.shown_lines) == told)
    QApplication.processEvents()
    height = picture.plot.height()
    picture.plot.pointed.emit(0)
    QApplication.processEvents()
    assert picture.plot.height() == height  # what is said never moves what is shown


def test_where_the_scale_has_no_name_the_sentence_above_has_its_unit(qtbot: QtBot, show: Show) -> None:
    picture = show(700, 300)
    picture.show_study(long_study(16))
    label = picture.plot.getPlotItem().getAxis("bottom").label
    qtbot.waitUntil(lambda: not label.isVisible())
    assert "Sideways: difference to order-2, nats a token." in picture.explanation.text()
    picture.resize(900, 900)
    qtbot.waitUntil(label.isVisible)
    assert "Sideways" not in picture.explanation.text()


def test_fields_are_no_wider_than_they_need_be(show: Show) -> None:
    picture = show(800, 250)
    picture.show_study(study())
    for field in (picture.order_field, picture.scale_field, picture.part_field):
        assert field.isVisible()
        assert field.width() == field.sizeHint().width()


def test_a_study_in_a_folder_of_that_name_is_not_called_twice() -> None:
    assert of_study(study(), "study").name == "Study"
    assert of_study(study(), "mine").name == "Study mine"


def turn(plot: ForestPlot, by: int) -> None:
    """Turn the wheel over the middle of the plot; 120 is a notch up."""
    middle = QPointF(plot.rect().center())
    event = QWheelEvent(
        middle,
        plot.mapToGlobal(middle),
        QPoint(),
        QPoint(0, by),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot.viewport(), event)
