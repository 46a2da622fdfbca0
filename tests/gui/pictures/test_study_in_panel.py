"""A study among the other pictures: its tabs, what is marked in both of them, and its files."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from made_studies import scores, study
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core import OutputError, load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from core.evaluate.verdict.comparing import compare
from gui.pictures.evaluated import Evaluation
from gui.pictures.headless import write_study_pictures
from gui.pictures.panel import PicturesPanel
from gui.pictures.shown import Shown


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture
def panel(qtbot: QtBot) -> PicturesPanel:
    panel = PicturesPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 640)
    with qtbot.waitExposed(panel):
        panel.show()
    return panel


def test_a_study_needs_no_models(panel: PicturesPanel) -> None:
    assert panel.sentence != ""
    panel.show_study(study(), "my-study")
    assert panel.current is panel.scores
    assert panel.sentence == ""
    panel.say_next("Something", "else is in the way")
    assert panel.sentence == ""
    assert not panel.source.isVisible()
    panel.tabs.setCurrentWidget(panel.zero_deltas)
    panel.say_next("Something", "else is in the way")
    assert panel.sentence.startswith("Something")


def test_an_evaluation_is_shown_where_nothing_else_can_be(panel: PicturesPanel) -> None:
    reference, other = scores("reference", [3.0, 4.0, 5.0]), scores("other", [2.0, 3.5, 5.0])
    found = Evaluation(Path("rows.jsonl"), reference.path, (reference,), (), ("reference",))
    panel.show_evaluation(found)
    assert panel.sentence != ""
    found = replace(
        found,
        scores=(reference, other),
        comparisons=compare(reference, [other]),
        names=("reference", "other"),
    )
    panel.show_evaluation(found)
    assert panel.current is panel.scores
    assert panel.scores.isVisible()
    assert [row.title for row in panel.scores.plot.rows] == ["reference", "other"]


def test_what_stands_in_the_way_of_pictures_is_not_hidden_by_an_evaluation(panel: PicturesPanel) -> None:
    reference, other = scores("reference", [3.0, 4.0, 5.0]), scores("other", [2.0, 3.5, 5.0])
    compared = compare(reference, [other])
    panel.say_next("These models", "do not fit")
    panel.show_evaluation(
        Evaluation(Path("rows.jsonl"), reference.path, (reference, other), compared, ("reference", "other"))
    )
    assert panel.sentence.startswith("These models")
    panel.scores_action.trigger()
    assert panel.scores.isVisible()


def test_a_model_is_marked_in_both_pictures(panel: PicturesPanel) -> None:
    panel.show_study(study(), "my-study")
    panel.tabs.setCurrentWidget(panel.training)
    panel.training.choose("anchor")
    panel.tabs.setCurrentWidget(panel.scores)
    panel.scores.plot.chosen.emit(3)
    panel.tabs.setCurrentWidget(panel.training)
    assert panel.training.plot._marked == {3}  # the first draw of the selection is the merge
    panel.training.plot.chosen.emit((1, 0))
    panel.tabs.setCurrentWidget(panel.scores)
    assert panel.scores.plot._marked == 1  # the row of all orders
    panel.actions_[1].trigger()  # select nothing
    assert panel.scores.plot._marked is None
    panel.tabs.setCurrentWidget(panel.training)
    assert panel.training.plot._marked == frozenset()


def test_a_sub_model_that_is_open_is_selected_everywhere(panel: PicturesPanel, findings: Findings) -> None:
    given = study()
    second = replace(given.positions[1], label=findings.models[1])
    single = replace(given.rows[1], members=(*given.rows[1].members, findings.models[1]))
    rows = (given.rows[0], single, *given.rows[2:])
    panel.show_numbers(Shown(findings))
    panel.show_study(replace(given, rows=rows, positions=(given.positions[0], second)), "my-study")
    panel.tabs.setCurrentWidget(panel.training)
    assert panel.training.choose("positions")
    panel.training.plot.chosen.emit((1, 0))
    assert panel.selection.value.model == 1
    panel.selection.select(model=0)
    assert panel.named.value == {findings.models[0]}
    panel.selection.select(model=1)
    assert panel.training.plot._marked == {1}
    panel.selection.clear()
    assert panel.named.value == frozenset()


def test_every_tab_is_read_whole_in_the_narrowest_window(panel: PicturesPanel) -> None:
    panel.show_study(study(), "my-study")
    tabs = panel.tabs.tabBar()
    texts = {}
    for width in (900, 542):
        panel.resize(width, 300)
        QTest.qWait(1)
        assert tabs.tabRect(tabs.count() - 1).right() < panel.tabs.width()
        texts[width] = [tabs.tabText(number) for number in range(tabs.count())]
        for number, text in enumerate(texts[width]):
            needed = tabs.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, text).width()
            assert tabs.tabRect(number).width() >= needed + 4
    assert texts[900][0] == "&Zero deltas"
    assert texts[542][0] == "&Zeros"
    assert texts[900][1:] == texts[542][1:]
    assert texts[900][-2:] == ["Scores", "Training"]


_CURVES = {"positions", "positions-differences", "anchor", "anchor-differences", "steps"}
_DRAWN = {"scores", "scores-near-zero", *_CURVES}
_NUMBERS = {"scores", "scores-samples", *_CURVES}


def test_a_study_is_written_as_files_without_a_window(qtbot: QtBot, tmp_path: Path) -> None:
    written = write_study_pictures(study(), tmp_path / "numbers", ("csv",))
    assert {path.name for path in written} == {f"{name}.csv" for name in _NUMBERS}
    assert {path.name for path in (tmp_path / "numbers").iterdir()} == {path.name for path in written}
    written = write_study_pictures(study(curves=False), tmp_path / "drawn", ("png",))
    assert [path.name for path in written] == ["scores.png", "scores-near-zero.png"]
    assert struct.unpack(">II", written[0].read_bytes()[16:24]) == (2250, 1600)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        write_study_pictures(study(), tmp_path / "file" / "pictures")


@pytest.mark.slow
def test_every_figure_of_a_study_is_drawn(qtbot: QtBot, tmp_path: Path) -> None:
    written = write_study_pictures(study(), tmp_path, ("png", "svg"))
    assert {path.name for path in written} == {f"{name}.{kind}" for name in _DRAWN for kind in ("png", "svg")}
    for name in _DRAWN:
        content = (tmp_path / f"{name}.png").read_bytes()
        assert struct.unpack(">II", content[16:24]) == (2250, 1600)
        picture = QImage(str(tmp_path / f"{name}.png"))
        seen = {picture.pixelColor(x, y).name() for x in range(0, 2250, 9) for y in range(0, 1600, 9)}
        assert "#ffffff" in seen
        assert len(seen) > 10
