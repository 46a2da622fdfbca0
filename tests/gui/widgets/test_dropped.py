"""What a drop from a file manager means."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui.widgets.dropped import sort_dropped


def test_what_is_dropped_is_sorted(models: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    dropped = sort_dropped(
        [
            models / "run-1",
            models / "run-1" / "model.safetensors",
            models / "run-2" / "model.safetensors.index.json",
            models / "recipe.yaml",
            tmp_path / "notes.txt",
        ]
    )
    assert dropped.folders == (models / "run-1", models / "run-2")
    assert dropped.recipe == models / "recipe.yaml"
    assert dropped.unusable == (tmp_path / "notes.txt",)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b", "\udc80"])
def test_a_name_that_the_system_does_not_take_is_unusable(tmp_path: Path, name: str) -> None:
    assert sort_dropped([tmp_path / name]).unusable == (tmp_path / name,)
