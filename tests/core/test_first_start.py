"""What is compiled once: ahead of time, or with a word about it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import core.first_start
from core.compilation import SENTENCE, compilation_noted
from core.first_start import PARTS, Part, compile_here

ROOT = Path(__file__).parents[2]


def test_a_compilation_is_noted_once_and_a_compiled_function_not_at_all() -> None:
    @njit
    def twice(values: np.ndarray) -> float:
        total = 0.0
        for value in values:
            total += 2 * value
        return total

    said: list[str] = []
    with compilation_noted(said.append):
        assert twice(np.ones(3)) == 6
        assert twice(np.ones(3, np.float32)) == 6  # another one
    assert said == [SENTENCE]
    with compilation_noted(said.append):
        twice(np.ones(4))
    assert said == [SENTENCE]


def test_the_shares_are_those_of_one_whole() -> None:
    assert sum(part.share for part in PARTS.values()) == pytest.approx(1)


@pytest.mark.slow
def test_what_was_compiled_ahead_is_not_compiled_by_the_first_merge_and_inspection(tmp_path: Path) -> None:
    demo = ROOT / "resources" / "demo"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    models = [str(demo / "base"), *(str(demo / f"order-{number}") for number in (1, 2))]
    first = run("gui.entry", "inspect", *models, "--details")
    assert SENTENCE in first.stderr
    run("core.first_start")
    again = run("gui.entry", "inspect", *models, "--details")
    assert SENTENCE not in again.stderr
    assert again.stdout == first.stdout
    merged = run("gui.entry", "merge", str(demo / "recipe.yaml"), "--out", str(tmp_path / "merged"))
    assert SENTENCE not in merged.stderr


def test_whoever_waits_hears_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, going, compiled = threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        compiled.append("first")
        begun.set()
        njit(_twice)(1)
        assert going.wait(10)

    parts = {"first": Part(first, 0.25), "second": Part(lambda: compiled.append("second"), 0.75)}
    monkeypatch.setattr(core.first_start, "PARTS", parts)
    monkeypatch.setattr(core.first_start, "_ready", set())
    monkeypatch.setattr(
        core.first_start, "_compile_in_process", lambda name: compiled.append(f"{name} ahead")
    )
    mine, theirs = list[float](), list[float]()
    one = threading.Thread(target=compile_here, args=(("first", "second"), mine.append))
    one.start()
    assert begun.wait(10)
    other = threading.Thread(target=compile_here, args=(("first",), theirs.append))
    other.start()
    while len(core.first_start._watching) < 2:
        time.sleep(0.001)
    going.set()
    one.join()
    other.join()
    assert mine == [0.0, 0.25, 1.0]
    assert set(theirs) <= {0.0, 0.25, 1.0}
    assert theirs
    assert sorted(compiled) == ["first", "second"]


def _twice(value: int) -> int:
    return 2 * value
