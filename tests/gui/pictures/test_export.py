"""Pictures as files, with no display."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PySide6.QtGui import QGuiApplication, QImage
from pytestqt.qtbot import QtBot

from core import RunRecord, load_recipe, plan_merge, run_merge
from core.deltas.findings import Findings, findings_of_record
from core.deltas.preview import measure_plan
from core.errors import OutputError
from gui.pictures.export import FORMATS, copy_numbers, copy_picture, save_picture
from gui.pictures.headless import write_pictures
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.zero_deltas import ZeroDeltasPicture


@pytest.fixture(scope="module")
def record(models: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return run_merge(
        plan_merge(load_recipe(models / "recipe.yaml")), tmp_path_factory.mktemp("merged") / "out"
    )


@pytest.fixture(scope="module")
def measured(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


def findings_of(record: RunRecord) -> Findings:
    findings = findings_of_record(record)
    assert findings is not None
    return findings


def test_a_merge_has_pictures_of_what_it_counted(qtbot: QtBot, record: RunRecord, tmp_path: Path) -> None:
    written = write_pictures(findings_of(record), tmp_path / "new")
    assert [path.name for path in written] == ["zero-deltas.png", "resampling.png", "provenance.png"]
    for path in written:
        assert_is_drawn(path)


def assert_is_drawn(path: Path) -> None:
    image = QImage(str(path))
    assert (image.width(), image.height()) == (2800, 1800)
    colours = {image.pixel(x, y) for x in range(0, 2800, 40) for y in range(0, 1800, 40)}
    assert len(colours) > 3


def test_models_that_were_looked_at_have_the_others(qtbot: QtBot, measured: Findings, tmp_path: Path) -> None:
    written = write_pictures(measured, tmp_path, FORMATS)
    names = ("zero-deltas", "resampling", "agreement", "magnitude")
    expected = [f"{name}.{suffix}" for name in names for suffix in ("png", "svg", "csv")]
    assert [path.name for path in written] == [*expected, "magnitude-histogram.csv"]
    for path in written:
        if path.suffix == ".png":
            assert_is_drawn(path)


def test_a_drawing_has_its_words_as_text(qtbot: QtBot, measured: Findings, tmp_path: Path) -> None:
    write_pictures(measured, tmp_path, ["svg"])
    texts = "".join(ElementTree.parse(tmp_path / "zero-deltas.svg").getroot().itertext())
    for word in ("What fine-tuning left as it was", "attention q", "mlp up", "Layer", "% zero deltas"):
        assert word in texts
    assert "Mean of all" not in texts  # the field is of use on a screen only
    everyone = "".join(ElementTree.parse(tmp_path / "magnitude.svg").getroot().itertext())
    assert all(name.replace("-", "\u2011") in everyone for name in measured.models)


def test_pictures_say_where_their_numbers_come_from(
    measured: Findings, record: RunRecord, tmp_path: Path
) -> None:
    write_pictures(replace(measured, sample=0.01), tmp_path / "looked", ("svg",))
    for path in (tmp_path / "looked").iterdir():
        assert "Estimated from 1.0 % of the parameters" in "".join(
            ElementTree.parse(path).getroot().itertext()
        )
    write_pictures(findings_of(record), tmp_path / "merged", ("svg",))
    for path in (tmp_path / "merged").iterdir():
        assert "Counted by the merge with n = 4, seed 7" in "".join(
            ElementTree.parse(path).getroot().itertext()
        )


def test_a_picture_is_saved_and_copied_as_it_is_shown(
    qtbot: QtBot, measured: Findings, tmp_path: Path
) -> None:
    picture = ZeroDeltasPicture(Selection())
    qtbot.addWidget(picture)
    picture.resize(700, 400)
    picture.show_numbers(Shown(measured))
    picture.show()
    picture.selection.select(model=1)
    assert save_picture(picture, tmp_path / "mine.PNG") == [tmp_path / "mine.PNG"]
    assert (QImage(str(tmp_path / "mine.PNG")).width(), picture.show_field.isVisible()) == (1750, True)
    copy_numbers(picture)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:3] == ["layer", "kind", "parameters"]
    assert len(lines) == 9
    copy_picture(picture)
    assert QGuiApplication.clipboard().image().width() == 1750
    with pytest.raises(OutputError, match="no kind of file for pictures"):
        save_picture(picture, tmp_path / "mine.jpg")
    for suffix in FORMATS:
        with pytest.raises(OutputError, match="cannot write"):
            save_picture(picture, tmp_path / "nowhere" / f"mine.{suffix}")


def test_pictures_need_no_display(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "paramosaic.json").write_bytes(record.to_json())
    code = (
        "import pathlib, core, gui.pictures.headless\n"
        "findings = core.findings_of_record(core.read_record(pathlib.Path('.')))\n"
        "print(*(path.name for path in gui.pictures.headless.write_pictures(findings, pathlib.Path('.'))))\n"
    )
    done = run_without_display(code, tmp_path)
    assert done.stdout.split() == ["zero-deltas.png", "resampling.png", "provenance.png"], done.stderr
    assert done.stderr == ""
    assert (tmp_path / "resampling.png").stat().st_size > 10_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_a_window_without_a_display_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run_without_display(
        "import sys; from gui.entry import desktop; sys.exit(desktop().open_window(False))", tmp_path
    )
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
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in a background job
        "class Window(gui.app.MainWindow):\n"
        "    def paintEvent(self, event):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "gui.app.MainWindow = Window\n"
        "sys.exit(gui.app.run_window(False))\n"
    )
    done = run_without_display(code, tmp_path, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


def run_without_display(code: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
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
