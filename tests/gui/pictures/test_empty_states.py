"""Where there is no picture it is said why, and what to do next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from gui.pictures.agreement import AgreementPicture
from gui.pictures.picture import Picture
from gui.pictures.provenance import ProvenancePicture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.window.window import MainWindow


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture
def shown(qtbot: QtBot, findings: Findings) -> Callable[[type[Picture]], Picture]:
    def show(kind: type[Picture], size: tuple[int, int] = (820, 480)) -> Picture:
        picture = kind(Selection())
        qtbot.addWidget(picture)
        picture.resize(*size)
        picture.show_numbers(Shown(findings))
        with qtbot.waitExposed(picture):
            picture.show()
        return picture

    return show


def test_while_a_merge_runs_nobody_is_asked_to_press_merge(shown, findings: Findings) -> None:
    picture = shown(ProvenancePicture)
    picture.set_method("Parameter selection", draws=True)
    assert "Press Merge" in picture.sentence
    picture.show_numbers(Shown(findings, "merging"))
    assert "Press Merge" not in picture.sentence
    assert picture.sentence.startswith("The merge is running.")
    picture.show_numbers(Shown(findings))
    assert "Press Merge" in picture.sentence


def test_a_merge_in_a_window_is_told_of_before_its_first_tensor_is_done(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    tmp_path: Path,
    before_chunks: Callable[[Callable[[], None]], None],
) -> None:

    held = SimpleNamespace(reached=threading.Event(), released=threading.Event())

    def hold() -> None:
        held.reached.set()
        assert held.released.wait(30)

    before_chunks(hold)
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    bars = window.pictures.provenance
    window.pictures.tabs.setCurrentWidget(bars)
    qtbot.waitUntil(window.merge_button.isEnabled, timeout=30_000)
    qtbot.waitUntil(lambda: "Press Merge" in bars.sentence, timeout=30_000)
    window.merge_button.click()
    qtbot.waitUntil(held.reached.is_set, timeout=30_000)
    said = bars.sentence
    held.released.set()
    qtbot.waitUntil(lambda: not window.merging, timeout=30_000)
    assert said.startswith("The merge is running.")
    assert bars.sentence == ""


def test_a_method_that_does_not_draw_names_one_that_does(shown) -> None:
    bars, curve = shown(ProvenancePicture), shown(ResamplingPicture)
    bars.set_method("Weighted average", draws=False)
    assert "Choose “Parameter selection”" in bars.sentence
    assert "draws nothing" not in curve.explanation.text()
    curve.set_method("Weighted average", draws=False)
    assert curve.explanation.text().endswith(
        "“Weighted average” draws nothing: this is what “Parameter selection” would do."
    )
    curve.set_method("Parameter selection", draws=True)
    assert "draws nothing" not in curve.explanation.text()


def test_what_is_said_does_not_move_the_plot(shown) -> None:
    picture = shown(ResamplingPicture, (600, 400))
    picture.explanation.setText("A sentence. " * 30)
    picture.layout().activate()
    before = picture.plot.geometry(), picture.plot.view.size()
    picture.read("Short.")
    picture.explanation.setText("Short.")
    picture.layout().activate()
    assert (picture.plot.geometry(), picture.plot.view.size()) == before
    picture.read("A sentence. " * 30)
    picture.layout().activate()
    assert (picture.plot.geometry(), picture.plot.view.size()) == before


def test_bars_and_marks_at_the_ends_are_whole(shown) -> None:
    picture = shown(ProvenancePicture)
    picture.say("")
    picture.plot.show_columns(["in", "0"])
    picture.plot.fit(100.0)
    _, (bottom, top) = picture.plot.view.viewRange()
    pixel = (top - bottom) / picture.plot.view.size().height()
    assert bottom < -3 * pixel
    assert top > 100 + 3 * pixel
    axis = picture.plot.getPlotItem().getAxis("left")
    values = [value for _, level in axis.tickValues(bottom, top, axis.height())[:1] for value in level]
    assert min(np.abs(values)) == 0
    assert 100 in values


def test_a_legend_is_there_where_it_leaves_room(qtbot: QtBot, shown) -> None:
    picture = shown(ProvenancePicture, (900, 600))
    picture.say("")
    long = "a-name-that-is-much-longer-than-anybody-would-want-to-read-in-a-legend-1"
    picture._legend.show_models([long, *(f"model-{number}" for number in range(2, 13))])
    assert not picture._legend.isHidden()  # twelve: all are named
    assert long not in picture._legend.text()
    assert long in picture._legend.toolTip()
    picture._legend.show_models([f"model-{number}" for number in range(1, 61)])
    assert picture._legend.isHidden()
    picture.resize(1800, 1100)
    qtbot.waitUntil(lambda: not picture._legend.isHidden())
    picture.resize(500, 300)
    qtbot.waitUntil(picture._legend.isHidden)


def test_a_narrow_picture_has_its_heading_whole(shown) -> None:
    picture = shown(AgreementPicture, (420, 330))
    measure = picture._heading.fontMetrics()
    assert picture._heading.width() >= measure.horizontalAdvance(picture.title)
    assert picture.measure_field.geometry().right() < picture.width()
    wide = shown(AgreementPicture, (900, 330))
    assert wide._heading.width() >= measure.horizontalAdvance(picture.title)
    assert (
        wide.measure_field.mapTo(wide, wide.measure_field.rect().topLeft()).y()
        < wide._heading.geometry().bottom()
    )
