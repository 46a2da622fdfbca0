"""What is compared is what the two runs wrote, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

import gui.history.comparison_job
from core import CancelToken, load_recipe, plan_merge, run_merge
from core.runs.comparison import RunComparison, compare_runs
from core.runs.difference import RunDifference
from core.runs.history import HistoryEntry
from gui.failure import Failure
from gui.history.comparison_job import ComparisonJob


def merged(models: Path, out: Path, seed: int) -> HistoryEntry:
    recipe = replace(load_recipe(models / "recipe.yaml"), seed=seed)
    entry = HistoryEntry.begin(recipe, out)
    return entry.done(run_merge(plan_merge(recipe), out, overwrite=True))


def run(left: HistoryEntry, right: HistoryEntry) -> tuple[list[RunDifference], list[Failure], int]:
    """What such a job finds, why it fails, and how often it ends."""
    job = ComparisonJob(left, right)
    found: list[RunDifference] = []
    failed: list[Failure] = []
    ended: list[None] = []
    job.found.connect(found.append, Qt.ConnectionType.DirectConnection)
    job.failed.connect(failed.append, Qt.ConnectionType.DirectConnection)
    job.ended.connect(lambda: ended.append(None), Qt.ConnectionType.DirectConnection)
    job.run()
    return found, failed, len(ended)


def test_two_runs_are_compared(models: Path, tmp_path: Path) -> None:
    found, failed, ended = run(merged(models, tmp_path / "one", 7), merged(models, tmp_path / "two", 8))
    assert [difference.elements is not None for difference in found] == [False, True]
    assert (failed, ended) == ([], 1)


def test_a_run_whose_output_was_replaced_is_not_compared(models: Path, tmp_path: Path) -> None:
    first, second = (merged(models, tmp_path / "out", seed) for seed in (7, 8))
    for left, right in ((first, second), (second, first)):
        found, failed, ended = run(left, right)
        assert (found, ended) == ([], 1)
        assert failed == [
            Failure(
                "The folder out holds the output of a later merge.",
                "Choose that run instead, or another one.",
                path=tmp_path / "out",
            )
        ]


def test_an_output_that_is_replaced_meanwhile_is_not_compared(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(left: Path, right: Path, *, cancel: CancelToken, **options: object) -> RunComparison:
        merged(models, right, 9)
        return compare_runs(left, right, cancel=cancel)

    monkeypatch.setattr(gui.history.comparison_job, "compare_runs", compare)
    found, failed, _ = run(merged(models, tmp_path / "one", 7), merged(models, tmp_path / "two", 8))
    assert [difference.elements for difference in found] == [None]
    assert [failure.message for failure in failed] == ["The folder two holds the output of a later merge."]
