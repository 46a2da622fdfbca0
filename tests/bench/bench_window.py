"""How soon the window is there, and how quickly it answers while a merge uses every core.

    python tests/bench/bench_window.py --parameters 300M --models 6 --runs 3

Start: seconds from the start of a process to the window's first exposure, imports included, medians.
Latency: a timer of 5 ms runs in the window's event loop; the figure is how much later than that it comes,
first while torch and numba are imported and compiled, then while the models are opened and looked at,
during a merge with the live pictures, and while the demo models are trained and evaluated by child processes
that use every core and are followed in their panels.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench import count
from checkpoints import make_checkpoints

from resources import DEMO_FOLDER

if TYPE_CHECKING:
    from gui.window.window import MainWindow

_TICK_MS = 5
_ROWS = 120
"""Of the data of a training and an evaluation."""

_START = """
import sys, time
from PySide6.QtCore import QTimer
from gui.app import make_application, make_window
application = make_application()
window = make_window()
window.show()
def look():
    if window.windowHandle().isExposed():
        print(time.time() - {started})
        window.close_at_once()
        application.quit()
    else:
        QTimer.singleShot(1, look)
QTimer.singleShot(0, look)
application.exec()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=300_000_000, help="of each model, e.g. 300M")
    parser.add_argument("--models", type=int, default=6, help="K")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where the models are")
    options = parser.parse_args()
    folder = options.folder / f"{options.parameters}x{options.models}"
    if not (folder / "recipe.yaml").exists():
        make_checkpoints(folder, options.parameters, options.models)
    with tempfile.TemporaryDirectory() as data:
        os.environ["PARAMOSAIC_DATA_DIR"] = data
        starts = [_seconds_to_start() for _ in range(1 + options.runs)][1:]
        print(f"window visible after {statistics.median(starts):.2f} s (median of {options.runs})")
        _print_latencies(folder / "recipe.yaml", options.runs)


def _seconds_to_start() -> float:
    program = _START.format(started=time.time())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return float(done.stdout)


def _print_latencies(recipe: Path, runs: int) -> None:
    from PySide6.QtCore import QCoreApplication, Qt, QTimer

    from gui.app import make_application, make_window

    make_application()
    window = make_window()
    window.show()
    late: list[float] = []
    last = 0.0

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(1000 * (now - last) - _TICK_MS)
        last = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(_TICK_MS)
    timer.timeout.connect(tick)

    def run_until(done: object) -> None:
        nonlocal last
        last = time.perf_counter()
        late.clear()
        timer.start()
        while not done():  # type: ignore[operator]
            QCoreApplication.processEvents()
            time.sleep(0.0002)
        timer.stop()

    built: list[bool] = []
    window.pictures.built.connect(lambda: built.append(True))
    window.warm_up()
    run_until(lambda: built)
    _print("making the plots", late)
    run_until(lambda: window.idle)
    _print("imports and compilation", late)
    with tempfile.TemporaryDirectory(dir=recipe.parent) as out:
        for run in range(runs):
            merged = Path(out) / f"merged-{run}"
            window.new_recipe()
            run_until(lambda: window.observer.findings is None)
            opened = time.perf_counter()
            window.load_recipe(recipe, merged)
            run_until(lambda: window.observer.findings is not None)
            first_map_s = time.perf_counter() - opened
            _print(f"run {run + 1}, opening, until the first map after {first_map_s:.2f} s", late)
            run_until(lambda: not window.observer.looking)
            _print(f"run {run + 1}, looking at the models", late)
            window.start_merge()
            run_until(lambda merged=merged: merged.exists() and not window.merging)
            _print(f"run {run + 1}, merging", late)
    with tempfile.TemporaryDirectory() as folder:
        _print_with_children(window, Path(folder), run_until, late)
    window.close_at_once()


def _print_with_children(
    window: MainWindow, folder: Path, run_until: Callable[[object], None], late: list[float]
) -> None:
    """A training of two orders from the demo's base, and an evaluation of all demo models."""
    data = folder / "data.jsonl"
    with data.open("w") as file:
        for row in range(_ROWS):
            text = f"Row {row} of {_ROWS}: " + " ".join(str(row * number) for number in range(40))
            file.write(json.dumps({"text": text}) + "\n")
    window.load_recipe(DEMO_FOLDER / "recipe.yaml", folder / "merged")
    window.layout_.show_training()
    run_until(lambda: window.idle)
    arguments = [str(DEMO_FOLDER / "base"), "--data", str(data), "--orders", "2", "--epochs", "1"]
    task = window.tasks.start("train", [*arguments, "--out", str(folder / "runs")], "Training")
    run_until(lambda: not window.tasks.running)
    ended = window.tasks.task(task.id)
    assert ended is not None
    failed = "" if ended.failure is None else f", which failed: {ended.failure.message}"
    _print(f"training in the background{failed}", late)
    window.layout_.show_evaluation()
    window.evaluating.set_data(data)
    run_until(lambda: window.idle)
    window.evaluating.start()
    run_until(lambda: not window.evaluating.running and window.idle)
    _print("evaluating in the background", late)


def _print(title: str, late: list[float]) -> None:
    ordered = sorted(max(0.0, value) for value in late)
    if not ordered:
        return
    p50, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    print(
        f"{title}: {len(ordered)} ticks, late by {p50:.1f} ms (median), {p99:.1f} ms (p99), "
        f"{ordered[-1]:.1f} ms (worst)"
    )


if __name__ == "__main__":
    main()
