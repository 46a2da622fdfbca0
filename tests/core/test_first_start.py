"""What is compiled once: ahead of time, or with a word about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from core.compilation import SENTENCE, compilation_noted
from core.first_start import PARTS

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
