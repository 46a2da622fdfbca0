"""The fields of a recipe, and recipes on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core import load_recipe
from gui.merge_setup import free_name
from gui.recipe_files import save_recipe
from gui.window import MainWindow


def test_only_methods_that_draw_ask_for_n(window: MainWindow) -> None:
    panel = window.recipe
    assert list(panel.parameter_boxes) == ["resamples"]
    panel.method_box.setCurrentIndex(panel.method_box.findData("linear"))
    assert panel.parameters == {}
    panel.method_box.setCurrentIndex(panel.method_box.findData("parameter_selection"))
    panel.parameter_boxes["resamples"].setValue(3)
    assert window.setup().parameters == {"resamples": 3}


@pytest.mark.parametrize(("typed", "seed"), [("0", 0), ("18446744073709551615", 2**64 - 1), ("", None)])
def test_a_seed_has_64_bits(window: MainWindow, typed: str, seed: int | None) -> None:
    window.recipe.seed_field.setText(typed)
    assert window.setup().seed == seed


@pytest.mark.parametrize("typed", ["18446744073709551616", "-1", "1.5", "٣"])
def test_what_is_no_seed_is_not_taken(window: MainWindow, typed: str) -> None:
    window.recipe.seed_field.setText(typed)
    assert window.setup().seed is None


def test_an_opened_recipe_comes_back_when_it_is_saved(window: MainWindow, models: Path) -> None:
    written = models / "all.yaml"
    written.write_text(
        "merge_method: parameter_selection\nbase_model: base\nparameters: {resamples: 9}\n"
        "models:\n  - model: run-2\n    parameters: {weight: 0.5}\n  - model: run-1\n"
        "seed: 18446744073709551615\ndtype: float32\nout_dtype: bfloat16\n"
        "zero_tolerance: 1e-6\nnonfinite: error\n"
    )
    assert window.open_recipe(written)
    asked, shown = load_recipe(written), window.setup().recipe()
    assert (shown.base, shown.weights, shown.seed) == (asked.base, asked.weights, asked.seed)
    save_recipe(shown, models / "again.yaml")
    again = load_recipe(models / "again.yaml")
    assert [entry.path for entry in again.models] == [entry.path for entry in asked.models]
    assert (again.weights, again.resamples) == ((0.5, 1.0), 9)
    for key in ("dtype", "out_dtype", "zero_tolerance", "nonfinite", "vocab", "seed", "base"):
        assert getattr(again, key) == getattr(asked, key)
    assert str(models) not in (models / "again.yaml").read_text()


def test_a_broken_recipe_is_told_inline(window: MainWindow, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("merge_method: liner\n")
    assert not window.open_recipe(path)
    assert "liner" in window.run.message.text
    assert "linear" in window.run.message.text  # the hint
    assert window.setup().models == ()


def test_merge_says_what_is_missing(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> None:
    said = []
    window.models.set_base(models / "base")
    said.append(window.merge_button.toolTip())
    window.models.add_sub_models([models / "run-1"])
    qtbot.waitUntil(window.merge_button.isEnabled)
    (tmp_path / "there").mkdir()
    window.recipe.output_field.setText(str(tmp_path / "there"))
    said.append(window.merge_button.toolTip())
    window.recipe.output_field.setText("")
    window.recipe.output_field.setFocus()
    said.append(window.merge_button.toolTip())
    window.models.set_base(models / "run-1")
    said.append(window.merge_button.toolTip())
    assert "sub-model" in said[0]
    assert "exists" in said[1]
    assert said[3] == "The base is in the list of sub-models, too."
    assert not window.merge_button.isEnabled()


def test_an_average_needs_no_base(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.models.add_sub_models([models / "run-1"])
    qtbot.waitUntil(lambda: None not in window.models.summaries())
    assert not window.merge_button.isEnabled()
    window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData("linear"))
    assert window.merge_button.isEnabled()


def test_names_of_outputs_count_up(tmp_path: Path) -> None:
    out = tmp_path / "merged"
    assert free_name(out) == out
    out.mkdir()
    (tmp_path / "merged-2.partial").mkdir()
    assert free_name(out) == tmp_path / "merged-3"
    (tmp_path / "merged-3").mkdir()
    assert free_name(tmp_path / "merged-3") == tmp_path / "merged-4"
    (tmp_path / "llama-1").mkdir()
    assert free_name(tmp_path / "llama-1") == tmp_path / "llama-1-2"
