"""A model that does not fit takes nobody else's pictures away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

import core.sources.rows
from core.checkpoint.files import ReadFile
from core.errors import CheckpointError
from gui.models.table_model import Column
from gui.widgets.theme import model_colour
from gui.window.window import MainWindow


def lack_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors")


def have_other_shapes(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: torch.cat([value, value]) for name, value in tensors.items()}, folder / "model.safetensors"
    )


def be_cut_off(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def be_gone(folder: Path) -> None:
    shutil.rmtree(folder)


def be_empty(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.fixture
def spoiled(models: Path, tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a model of the name that is spoiled in that way."""

    def make(name: str, spoil: Callable[[Path], None], of: str = "run-1") -> Path:
        folder = shutil.copytree(models / of, tmp_path / name)
        spoil(folder)
        return folder

    return make


def wait_for_pictures(qtbot: QtBot, window: MainWindow, names: tuple[str, ...]) -> None:
    def there() -> bool:
        findings = window.observer.findings
        return findings is not None and findings.models == names and not window.observer.looking

    qtbot.waitUntil(there, timeout=30_000)
    assert window.pictures.sentence == ""


def press(window: MainWindow, words: str) -> None:
    buttons = window.models.message.findChildren(QPushButton)
    next(button for button in buttons if button.text() == words and not button.isHidden()).click()


def chip_colour(window: MainWindow, row: int) -> str:
    icon = window.models.sub_models_model.index(row, 0).data(Qt.ItemDataRole.DecorationRole)
    return str(icon.pixmap(48, 48).toImage().pixelColor(24, 24).name())


@pytest.mark.parametrize("spoil", [lack_a_tensor, have_other_shapes, be_cut_off, be_gone, be_empty])
def test_one_misfit_is_left_out(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    spoiled: Callable[..., Path],
    spoil: Callable[[Path], None],
) -> None:
    odd = spoiled("odd", spoil)
    window.models.set_base(models / "base")
    window.models.add_sub_models([models / "run-1", odd, models / "run-2"])
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))
    assert "without odd, which does not fit" in window.pictures.source.text
    model = window.models.sub_models_model
    qtbot.waitUntil(lambda: model.index(1, Column.STATE).data() == "!")
    assert [model.index(row, Column.STATE).data() for row in (0, 2)] == ["✓", "✓"]
    reason = window.models.message.text
    assert reason
    assert model.index(1, Column.PARAMETERS).data().startswith(("Does not fit: ", "Cannot be read: "))
    problem = model.problem(1)
    assert problem is not None
    assert problem.message.replace(str(odd), "odd").replace(str(models / "base"), "base") in reason
    assert problem.message in model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert chip_colour(window, 2) == model_colour(1).name()  # the second in the pictures
    press(window, "Remove")
    assert [choice.folder.name for choice in window.setup().models] == ["run-1", "run-2"]
    assert window.models.message.text == ""
    qtbot.waitUntil(lambda: "odd" not in window.pictures.source.text)
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))


def test_pictures_stay_when_a_misfit_comes(
    qtbot: QtBot, window: MainWindow, models: Path, spoiled: Callable[..., Path]
) -> None:
    window.models.set_base(models / "base")
    window.models.add_sub_models([models / "run-1", models / "run-2"])
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))
    known = window.observer.findings
    gone: list[None] = []
    window.observer.changed.connect(lambda shown: shown.findings is None and gone.append(None))
    window.models.add_sub_models([spoiled("odd", lack_a_tensor)])
    qtbot.waitUntil(lambda: "without odd" in window.pictures.source.text)
    assert window.observer.findings is known
    assert not gone
    press(window, "Untick")
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.observer.findings is known
    assert not window.setup().models[2].enabled


def test_several_misfits_are_removed_at_once(
    qtbot: QtBot, window: MainWindow, models: Path, spoiled: Callable[..., Path]
) -> None:
    odd = [spoiled("odd-1", lack_a_tensor), spoiled("odd-2", be_cut_off), spoiled("odd-3", be_gone)]
    window.models.set_base(models / "base")
    window.models.add_sub_models([odd[0], models / "run-1", odd[1], odd[2], models / "run-2"])
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))
    assert "without odd-1, odd-2 and odd-3, which do not fit" in window.pictures.source.text
    qtbot.waitUntil(lambda: len(window.models.summaries()) == 6)
    press(window, "Remove all 3")
    assert [choice.folder.name for choice in window.setup().models] == ["run-1", "run-2"]
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))


def test_a_base_that_cannot_be_read_is_named(
    qtbot: QtBot, window: MainWindow, models: Path, spoiled: Callable[..., Path]
) -> None:
    window.models.set_base(spoiled("odd-base", be_cut_off))
    window.models.add_sub_models([models / "run-1", models / "run-2"])
    qtbot.waitUntil(lambda: "The base cannot be used: choose another one" in window.pictures.sentence)
    qtbot.waitUntil(lambda: "odd-base" in window.models.message.text)


def test_a_base_of_other_models_is_said_to_be_the_misfit(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    spoiled: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window.models.set_base(spoiled("large", have_other_shapes, "base"))
    window.models.add_sub_models([models / "run-1", models / "run-2"])
    qtbot.waitUntil(lambda: "None of the 2 models fits this base" in window.pictures.sentence)
    assert "None of the 2 models fits the base large" in window.models.message.text
    monkeypatch.setattr("gui.models.panel.choose_folder", lambda *arguments: models / "base")
    press(window, "Choose the base…")
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))
    assert window.models.message.text == ""


def test_with_no_model_ticked_it_says_to_tick(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    window.models.set_base(models / "base")
    window.models.add_sub_models([models / "run-1"])
    window.models.table.selectAll()
    window.models.enable_selected(False)
    qtbot.waitUntil(lambda: "Tick the models" in window.pictures.sentence)


def test_a_model_whose_weights_cannot_be_read_is_left_out(
    qtbot: QtBot,
    window: MainWindow,
    models: Path,
    spoiled: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = spoiled("odd", lambda folder: None)  # its header can be read, and fits
    read = ReadFile.read_into

    def read_into(file: ReadFile, buffer: memoryview, offset: int) -> None:
        if file.path.is_relative_to(odd):
            raise CheckpointError(f"cannot read {file.path}: Input/output error", path=file.path)
        read(file, buffer, offset)

    monkeypatch.setattr(core.sources.rows, "fill_table", lambda table: 0)  # row by row, as after an error
    monkeypatch.setattr(ReadFile, "read_into", read_into)
    window.models.set_base(models / "base")
    window.models.add_sub_models([models / "run-1", odd, models / "run-2"])
    wait_for_pictures(qtbot, window, ("run-1", "run-2"))
    assert "without odd, which does not fit" in window.pictures.source.text
    model = window.models.sub_models_model
    qtbot.waitUntil(lambda: model.index(1, Column.STATE).data() == "!")
    assert "Input/output error" in window.models.message.text
    press(window, "Remove")
    assert [choice.folder.name for choice in window.setup().models] == ["run-1", "run-2"]
