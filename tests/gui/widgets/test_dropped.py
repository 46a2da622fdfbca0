"""What a drop from a file manager means."""

from __future__ import annotations

from pathlib import Path

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
