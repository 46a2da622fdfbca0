"""Pictures as files, with no display."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from core import RunRecord, load_recipe, plan_merge, run_merge
from gui.export import write_pictures


@pytest.fixture(scope="module")
def record(models: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return run_merge(
        plan_merge(load_recipe(models / "recipe.yaml")), tmp_path_factory.mktemp("merged") / "out"
    )


def test_both_pictures_are_written(qtbot: QtBot, record: RunRecord, tmp_path: Path) -> None:
    written = write_pictures(record, tmp_path / "new")
    assert [path.name for path in written] == ["zero-delta-map.png", "resampling.png"]
    for path in written:
        image = QImage(str(path))
        assert (image.width(), image.height()) == (2800, 1800)
        colours = {image.pixel(x, y) for x in range(0, 2800, 40) for y in range(0, 1800, 40)}
        assert len(colours) > 3


def test_an_average_has_no_pictures(qtbot: QtBot, models: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "linear.yaml"
    recipe.write_text(
        f"merge_method: linear\nmodels:\n  - model: {models / 'run-1'}\n  - model: {models / 'run-2'}\n"
    )
    record = run_merge(plan_merge(load_recipe(recipe)), tmp_path / "out")
    assert write_pictures(record, tmp_path / "pictures") == []
    assert not (tmp_path / "pictures").exists()


def test_pictures_need_no_display(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "paramosaic.json").write_bytes(record.to_json())
    code = (
        "import pathlib, core, gui.export\n"
        "record = core.read_record(pathlib.Path('.'))\n"
        "print(*(path.name for path in gui.export.write_pictures(record, pathlib.Path('.'))))\n"
    )
    done = run_without_display(code, tmp_path)
    assert done.stdout.split() == ["zero-delta-map.png", "resampling.png"], done.stderr
    assert done.stderr == ""
    assert (tmp_path / "resampling.png").stat().st_size > 10_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_a_window_without_a_display_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run_without_display("import sys, gui.app; sys.exit(gui.app.run_window(False))", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no display\nhint: ")


def test_the_window_comes_before_torch_and_numba(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from gui.app import make_application, make_window\n"
        "application = make_application()\n"
        "window = make_window()\n"
        "window.show()\n"
        "application.processEvents()\n"
        "print(sorted({'torch', 'numba', 'transformers'} & set(sys.modules)))\n"
    )
    done = run_without_display(code, tmp_path, QT_QPA_PLATFORM="offscreen")
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there, a process cannot send itself Ctrl-C")
def test_ctrl_c_closes_the_window(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "import gui.app\n"
        "class Window(gui.app.MainWindow):\n"
        "    def paintEvent(self, event):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "gui.app.MainWindow = Window\n"
        "sys.exit(gui.app.run_window(False))\n"
    )
    done = run_without_display(code, tmp_path, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def run_without_display(code: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    environment |= {"PARAMOSAIC_DATA_DIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment | extra,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
