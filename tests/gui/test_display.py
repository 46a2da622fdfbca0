"""What is said where Qt would end the process: no display, or a library that the system lacks."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import PySide6
import pytest

from gui import display
from gui.display import ALWAYS, X11, why_no_window

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt brings it all elsewhere")

_OF_EVERY_SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so")
_SONAME = re.compile(rb"\x00(lib[\w+-]+\.so\.[\d.]+)(?=\x00)")


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Files that the loader does not find; on an X11 that answers."""
    hidden: set[str] = set()
    load = ctypes.CDLL

    def fake(name: str) -> ctypes.CDLL:
        if name in hidden:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return load(None)

    monkeypatch.setattr(display.ctypes, "CDLL", fake)
    monkeypatch.setattr(display, "has_display", lambda: True)
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    return hidden


def test_a_library_that_is_missing_is_named_with_its_package(lacking: set[str]) -> None:
    assert why_no_window() is None
    lacking |= {"libxcb-icccm.so.4", "libxcb-keysyms.so.1", "libglib-2.0.so.0", "libgthread-2.0.so.0"}
    why = why_no_window()
    assert why is not None
    assert "libxcb-icccm.so.4, libxcb-keysyms.so.1" in why[0]
    assert "apt-get install libglib2.0-0 libxcb-icccm4 libxcb-keysyms1`" in why[1]


def test_what_x11_needs_is_not_asked_for_elsewhere(
    lacking: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking |= {"libxcb-icccm.so.4"}
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert why_no_window() is None
    lacking |= {"libEGL.so.1"}
    assert "libegl1" in (why_no_window() or ("", ""))[1]


def test_every_library_that_qt_needs_is_asked_for() -> None:
    qt = Path(PySide6.__file__).parent / "Qt"
    needed = set()
    for file in (
        "plugins/platforms/libqxcb.so",
        *(f"lib/libQt6{n}.so.6" for n in ("XcbQpa", "Gui", "Core", "DBus")),
    ):
        needed |= {name.decode() for name in _SONAME.findall((qt / file).read_bytes())}
    of_system = {
        name
        for name in needed
        if not name.startswith(("libQt6", "libicu")) and not _OF_EVERY_SYSTEM.match(name)
    }
    assert "libxcb-icccm.so.4" in of_system
    assert of_system - {*ALWAYS, *X11} == set()


def test_it_is_found_out_at_once_and_without_qt() -> None:
    code = (
        "import time, sys; begun = time.perf_counter()\n"
        "from gui.display import ALWAYS, X11, missing_libraries\n"
        "missing_libraries({**ALWAYS, **X11})\n"
        "print(time.perf_counter() - begun, 'PySide6' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, qt = done.stdout.split()
    assert qt == "False"
    assert float(took) < 0.5


def test_the_command_ends_with_1_and_names_the_package(tmp_path: Path) -> None:
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import ctypes\nload = ctypes.CDLL\n"
        "def hidden(name, *a, **k):\n"
        "    if name == 'libxcb-icccm.so.4': raise OSError(name)\n"
        "    return load(name, *a, **k)\n"
        "ctypes.CDLL = hidden\n"
    )
    environment = os.environ | {
        "QT_QPA_PLATFORM": "xcb",
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "gui.entry"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(
        "error: Qt cannot show a window: this system lacks libxcb-icccm.so.4\nhint: "
    )
    assert "libxcb-icccm4`" in done.stderr
    assert len(done.stderr.splitlines()) == 2
