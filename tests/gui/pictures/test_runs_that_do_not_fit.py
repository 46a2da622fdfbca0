"""Two runs that cannot be compared, or have less to compare, say so in the place of an empty picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

from core import plan_merge, run_merge
from core.recipe.parsing import parse_recipe
from core.runs.history import HistoryEntry
from gui.pictures.comparison import ComparisonPicture
from gui.window.window import MainWindow

Merge = Callable[..., HistoryEntry]
Change = Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]


@pytest.fixture
def merged(window: MainWindow, models: Path, tmp_path: Path, qtbot: QtBot) -> Merge:
    """Merges the models of a folder into a folder, and has the window's history know it."""

    def merge(out: str, folder: Path = models, **changes: object) -> HistoryEntry:
        data: dict[str, object] = {"merge_method": "parameter_selection", "base_model": "base"}
        data["models"] = [{"model": f"run-{number}"} for number in (1, 2)]
        recipe = parse_recipe(data | changes, folder)
        entry = HistoryEntry.begin(recipe, tmp_path / out)
        entry = entry.done(run_merge(plan_merge(recipe), tmp_path / out, threads=1))
        window._history.add(entry)
        window.history.refresh()
        qtbot.waitUntil(lambda: window.history.model.number_of(entry.id) is not None)
        return entry

    return merge


def other_models(models: Path, folder: Path, change: Change) -> Path:
    """The same models, each tensor changed."""
    for name in ("base", "run-1", "run-2"):
        (folder / name).mkdir(parents=True)
        tensors = load_file(models / name / "model.safetensors")
        changed = dict(change(key, value) for key, value in tensors.items())
        save_file(changed, folder / name / "model.safetensors", metadata={"format": "pt"})
        (folder / name / "config.json").write_text((models / name / "config.json").read_text())
    return folder


def compared(qtbot: QtBot, window: MainWindow) -> ComparisonPicture:
    """Select all runs of the history and press Compare there."""
    window.history.table.selectAll()
    window.history._compare.trigger()
    picture = window.pictures.comparison
    qtbot.waitUntil(lambda: picture.compare_button.text() == "Compare", timeout=10_000)
    return picture


def test_models_that_are_built_differently(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, merged: Merge
) -> None:
    merged("one/merged")
    merged("two/merged", other_models(models, tmp_path / "other", lambda key, value: (f"net.{key}", value)))
    picture = compared(qtbot, window)
    assert "two/merged and one/merged have no tensor in common" in picture.sentence
    assert picture._runs.between.text() == "and"


def test_models_of_different_sizes(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, merged: Merge
) -> None:
    merged("merged")
    double = other_models(models, tmp_path / "other", lambda key, value: (key, torch.cat([value, value])))
    for name in ("base", "run-1", "run-2"):
        path = double / name / "config.json"
        path.write_text(path.read_text().replace('"vocab_size": 50', '"vocab_size": 100'))
    merged("merged-2", double)
    assert "different sizes" in compared(qtbot, window).sentence


def test_a_method_that_counts_nothing_is_compared_by_elements_alone(
    qtbot: QtBot, window: MainWindow, merged: Merge
) -> None:
    merged("merged")
    entry = merged("average", merge_method="linear")
    picture = compared(qtbot, window)
    assert picture.sentence == ""
    maps = [picture.map_field.itemText(at) for at in range(picture.map_field.count())]
    assert maps == ["Elements that differ"]
    assert picture._runs.between.text() == "and"
    assert f"{entry.title} counts nothing else" in picture.explanation.text()


def test_minus_stands_where_one_is_subtracted(qtbot: QtBot, window: MainWindow, merged: Merge) -> None:
    picture = window.pictures.comparison
    window.pictures.show_comparison()
    merged("a/merged")
    qtbot.waitUntil(lambda: picture.left_field.count() == 1)
    assert (picture._runs.between.text(), picture.right_field.currentIndex()) == ("and", -1)
    assert not picture.right_field.isEnabled()
    merged("b/merged", seed=3)
    picture = compared(qtbot, window)
    assert picture._runs.between.text() == "and"
    assert "between b/merged and a/merged" in picture.explanation.text()
    picture.map_field.setCurrentIndex(1)
    picture.map_field.activated.emit(1)
    assert picture._runs.between.text() == "minus"
    assert "b/merged minus a/merged" in picture.explanation.text()


def test_a_result_that_is_gone_meanwhile(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, merged: Merge
) -> None:
    merged("merged")
    entry = merged("merged-2", seed=3)
    (tmp_path / "merged-2").rename(tmp_path / "elsewhere")
    picture = compared(qtbot, window)
    assert "merged-2" in picture.sentence
    assert entry.out.name in picture.sentence


def test_all_that_is_cut_is_in_the_tool_tip(qtbot: QtBot, window: MainWindow, merged: Merge) -> None:
    long = "a-name-that-is-longer-than-any-field-has-room-for-because-somebody-wrote-the-whole-method-into-it"
    merged(f"one/{long}")
    merged(f"two/{long}", seed=2**64 - 1)
    picture = window.pictures.comparison
    qtbot.waitUntil(lambda: picture.left_field.count() == 2)
    for field, folder in ((picture.left_field, "two"), (picture.right_field, "one")):
        assert f"{folder}/{long}" in field.toolTip()
        assert field.currentText().startswith(f"{folder}/")


def test_the_fields_are_below_each_other_where_they_would_be_cut(
    qtbot: QtBot, window: MainWindow, merged: Merge
) -> None:
    merged("merged")
    merged("merged-2", seed=2**64 - 1)
    picture = window.pictures.comparison
    window.pictures.show_comparison()
    qtbot.waitUntil(lambda: picture.left_field.count() == 2)
    runs = picture._runs
    for width, beside in ((2000, True), (700, False), (2000, True)):
        runs.resize(width, runs.height())
        runs._grid.activate()
        assert (runs.left.y() == runs.right.y()) == beside
        needed = runs.fontMetrics().horizontalAdvance(runs.left.currentText())
        assert min(runs.left.width(), runs.right.width()) > needed


def test_what_is_compared_is_whole_in_its_tool_tip(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, merged: Merge
) -> None:
    long = f"a-sub-model-{'with-a-name-that-goes-on-' * 5}"
    folder = other_models(models, tmp_path / "other", lambda key, value: (key, value))
    (folder / "run-1").rename(folder / long)
    named = [{"model": long}, {"model": "run-2"}]
    for number in (1, 2):
        merged(f"merged-{number}", folder, models=named, seed=number)
    picture = compared(qtbot, window)
    at = next(n for n in range(picture.map_field.count()) if long in picture.map_field.itemText(n))
    picture.map_field.setCurrentIndex(at)
    picture.map_field.activated.emit(at)
    assert picture.map_field.width() <= 360
    assert long in picture.map_field.toolTip()
