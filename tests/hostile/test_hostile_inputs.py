"""Whatever the input: a clear error or success, within bounds, inputs untouched, no code of theirs run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from make_inputs import KINDS, make_inputs

FEED = Path(__file__).with_name("feed.py")
GROUPS = sorted({name.partition(":")[0] for name in KINDS})

MOST_CPU_S = 2.0
"""The aim is one second on an idle machine; here the processor may be shared, and slow."""

MOST_BYTES = 200_000_000
MOST_CHARACTERS = 3_000


def _state(folder: Path) -> dict[str, Any]:
    """Every name in `folder`, and what a change of it would show."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def _check(folders: list[Path], group: str) -> None:
    chosen = [folder for folder in folders if (folder / "kind").read_text().startswith(f"{group}:")]
    assert chosen
    before = {folder: _state(folder) for folder in chosen}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "QT_QPA_PLATFORM": "offscreen"}
    said = subprocess.run(
        [sys.executable, FEED, group, *chosen], env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    results = [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    assert [result["folder"] for result in results] == [str(folder) for folder in chosen]
    faults = []
    for result in results:
        folder = Path(result["folder"])
        if result["leak"]:
            faults.append(f"{folder}: {result['leak']}")
            continue
        if result["cpu_s"] > MOST_CPU_S or result["bytes"] > MOST_BYTES:
            faults.append(
                f"{folder}: {result['cpu_s']:.1f} s, {result['bytes']:,} bytes: {result['message']}"
            )
        if len(result["message"]) > MOST_CHARACTERS:
            faults.append(f"{folder}: a message of {len(result['message']):,} characters")
        if group != "settings" and _state(folder) != before[folder]:
            faults.append(f"{folder} was changed")
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_inputs(tmp_path_factory.mktemp("few"), seed=1, each=1, scale=0.3)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_inputs(tmp_path_factory.mktemp("many"), seed=0, each=16)


def test_there_are_many_kinds_and_they_are_the_same_each_time(tmp_path: Path) -> None:
    assert len(KINDS) >= 60
    kinds = [name for name in KINDS if "flipped" in name or "odd value" in name]
    one, other = (make_inputs(tmp_path / name, seed=1, each=3, kinds=kinds) for name in "ab")
    assert [folder.name for folder in one] == [folder.name for folder in other]
    contents = [
        [path.read_bytes() for folder in made for path in sorted(folder.rglob("*")) if path.is_file()]
        for made in (one, other)
    ]
    assert contents[0] == contents[1]
    assert len(set(contents[0])) > 2 * len(kinds)


@pytest.mark.parametrize("group", GROUPS)
def test_one_of_each_kind(few: list[Path], group: str) -> None:
    _check(few, group)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_all_of_them(many: list[Path], group: str) -> None:
    assert len(many) >= 1_000
    _check(many, group)
