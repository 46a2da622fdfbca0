"""Signals at any moment of a process: 130 and one word, or a whole output and 0."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENTRY = "import sys; sys.argv[0] = 'paramosaic'; from gui.entry import main; sys.exit(main())"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def start(*arguments: object, script: str = ENTRY) -> subprocess.Popen[str]:
    """A command in a process of its own, once it answers signals."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not _catches(process.pid, signal.SIGTERM):
        assert process.poll() is None
        time.sleep(0.001)
    return process


def _catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def check(workshop: Any, process: subprocess.Popen[str]) -> int:
    """Whether it ended as it may; returns its status."""
    said, errors = process.communicate(timeout=60)
    out = workshop.folder / "out"
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    if process.returncode == 0:
        assert (out / "paramosaic.json").exists()
        assert said.startswith("checkpoint ")
    else:
        assert process.returncode == 130, errors
        assert errors.splitlines()[-1] == "cancelled"
        assert errors.count("cancelled") == 1
        assert not out.exists()
    assert not (workshop.folder / "out.partial").exists()
    return process.returncode


def kill_at_random(workshop: Any, count: int, number: int, within_s: float) -> list[int]:
    """Statuses of merges that get a signal at a random moment of their lives."""
    recipe = workshop.trio()
    moments, statuses = random.Random(3), []
    for _ in range(count):
        shutil.rmtree(workshop.folder / "out", ignore_errors=True)
        process = start("merge", recipe, "--out", workshop.folder / "out")
        time.sleep(moments.random() * within_s)
        process.send_signal(number)
        statuses.append(check(workshop, process))
    return statuses


def test_during_the_imports(workshop: Any) -> None:
    assert kill_at_random(workshop, 3, signal.SIGTERM, 0.3) == [130, 130, 130]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_at_many_random_moments(workshop: Any, number: int) -> None:
    assert 130 in kill_at_random(workshop, 20, number, 1.3)


HANGING = """
import sys, time, os, threading
from core.sources.files import OpenInputs
import core.checkpoint.staging as staging
def hang(self, *arguments):
    os.write(1, b"reads\\n")
    time.sleep(1000)
OpenInputs.read = hang
remove = staging.remove_files
def slowly(*arguments, **options):
    os.write(1, b"removes\\n")
    time.sleep(0.3)
    return remove(*arguments, **options)
staging.remove_files = slowly
sys.argv[0] = "paramosaic"
from gui.entry import main
sys.exit(main())
"""


def test_a_second_one_does_not_wait_and_leaves_nothing(workshop: Any) -> None:
    """And a third, while what was made is removed, does not stop that."""
    recipe = workshop.trio()
    process = start("merge", recipe, "--out", workshop.folder / "out", "--threads", "1", script=HANGING)
    assert process.stdout is not None
    assert process.stdout.readline() == "reads\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # the first waits for the chunk
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "removes\n"
    process.send_signal(signal.SIGINT)
    assert check(workshop, process) == 130
    assert time.monotonic() - begun < 3


LATE = """
import sys, os, signal
import core.checkpoint.staging as staging
finish = staging.Staging.finish
def then_signal(self, **options):
    finish(self, **options)
    os.kill(os.getpid(), signal.SIGINT)
staging.Staging.finish = then_signal
sys.argv[0] = "paramosaic"
from gui.entry import main
sys.exit(main())
"""


def test_after_the_final_name_it_is_too_late(workshop: Any) -> None:
    process = start("merge", workshop.trio(), "--out", workshop.folder / "out", script=LATE)
    assert check(workshop, process) == 0


WINDOW = """
import sys
import gui.app
make = gui.app.make_window
def told():
    window = make()
    from PySide6.QtCore import QTimer
    QTimer.singleShot(0, lambda: print("shown", flush=True))
    return window
gui.app.make_window = told
sys.argv[0] = "paramosaic"
from gui.entry import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM], ids=str
)
def test_the_window_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    for name in ("PARAMOSAIC_DATA_DIR", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":nowhere")
    process = start(script=WINDOW)
    assert process.stdout is not None
    assert process.stdout.readline() == "shown\n"
    process.send_signal(number)
    said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")
    assert errors.splitlines()[-1] == "cancelled", errors
    assert "Traceback" not in errors
