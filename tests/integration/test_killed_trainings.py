"""Trainings that are killed at any moment: they go on to the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import small_trainings as small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]

ORDERS, EPOCHS, ROWS, BATCH = 2, 2, 41, 2
STEPS = EPOCHS * 21
KILLS = 10


def command(place: Path, out: Path, events: Path) -> list[str]:
    plain = ["train", place / "base", "--data", place / "rows.jsonl", "--validation", place / "rows.jsonl"]
    many = ["--orders", ORDERS, "--epochs", EPOCHS, "--batch", BATCH, "--lr", "1e-3", "--threads", "1"]
    rest = ["--device", "cpu", "--save-every", "0", "--out", out, "--progress", events]
    return [sys.executable, "-m", "gui.entry", *map(str, [*plain, *many, *rest])]


def steps_of(events: Path) -> list[tuple[int, int]]:
    if not events.exists():
        return []
    lines = [json.loads(line) for line in events.read_bytes().split(b"\n")[:-1]]
    return [(line["order"], line["step"]) for line in lines if line["kind"] == "step"]


def results(out: Path) -> dict[str, Any]:
    """Every file of the sub-models, and the logs without times."""
    files = {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and ("epoch-" in path.parent.name or path.parent.name == "order")
    }
    logs = {}
    for number in range(1, ORDERS + 1):
        lines = (out / f"order-{number}" / "log.jsonl").read_text().splitlines()
        logs[f"log {number}"] = small.log_without_times([json.loads(line) for line in lines])
    return files | logs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainings")
    small.base_folder(folder / "base", dropout=0.2, template=True)
    small.rows_file(folder / "rows.jsonl", ROWS)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> dict[str, Any]:
    done = subprocess.run(command(place, place / "whole", place / "whole.jsonl"), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return results(place / "whole")


def test_killed_at_ten_random_steps(place: Path, whole: dict[str, Any]) -> None:
    chosen = random.Random(17)
    places = [(order, step) for order in range(1, ORDERS + 1) for step in range(1, STEPS)]
    out, killed = place / "killed", 0
    for number, (order, step) in enumerate(sorted(chosen.sample(places, KILLS))):
        events = place / f"events-{number}.jsonl"
        process = subprocess.Popen(command(place, out, events), stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None and (steps_of(events) or [(0, 0)])[-1] < (order, step):
                time.sleep(0.005)
            time.sleep(chosen.uniform(0, 0.1))  # in the middle of whatever comes after the step
        finally:
            process.kill()
            process.wait()
        killed += process.returncode == -signal.SIGKILL
        begun = steps_of(events)[0]
        assert number == 0 or begun > (1, 1), "it went on"
    assert killed == KILLS
    last = place / "last.jsonl"
    done = subprocess.run(command(place, out, last), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert results(out) == whole


def test_killed_at_calls_that_change_the_disk(place: Path) -> None:
    """A fork of a child for each: before, within and after every fifth of such calls."""
    report, data = place / "report.json", small.rows_file(place / "few.jsonl")
    beside = Path(small.__file__).parent
    child = [sys.executable, beside / "training_child.py", place / "base", data, place / "faults", report]
    paths = os.pathsep.join([str(beside), str(beside.parents[1])])
    done = subprocess.run(
        [str(part) for part in child], capture_output=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(report.read_text())
    assert found["calls"] > 50
    assert found["killed"] == found["faults"] > 10
    assert found["different"] == []


def test_stopped_by_a_signal_it_says_so_and_goes_on(place: Path, whole: dict[str, Any]) -> None:
    out, events = place / "stopped", place / "stopped.jsonl"
    for number in (signal.SIGINT, signal.SIGTERM):
        before = len(steps_of(events))
        asked = command(place, out, events)
        asked[asked.index("--save-every") + 1] = "60"
        process = subprocess.Popen(asked, stderr=subprocess.PIPE)
        while process.poll() is None and len(steps_of(events)) < before + 3:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == 130
        assert said.decode().splitlines()[-2:] == [
            "hint: the same command again goes on from here",
            "cancelled",
        ]
    seen = steps_of(events)
    assert seen == sorted(seen), "nothing was done twice"
    done = subprocess.run(command(place, out, events), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert results(out) == whole
