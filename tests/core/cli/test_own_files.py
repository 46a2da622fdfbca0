"""Files that commands write by the way: none is one that they read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.cli.own_files import refuse_inputs
from core.errors import OutputError


def test_a_file_that_is_read_is_not_written_by_any_of_its_names(tmp_path: Path) -> None:
    data, other = tmp_path / "data.jsonl", tmp_path / "other.csv"
    data.write_text("x")
    os.symlink(data, tmp_path / "link")
    os.link(data, tmp_path / "hard")
    for name in ("data.jsonl", "link", "hard", "sub/../data.jsonl"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(OutputError, match="which is read and would be overwritten"):
            refuse_inputs(tmp_path / name, (None, data), option="--out")
    refuse_inputs(other, (data,), option="--out")
    other.write_text("x")  # the same content is not the same file
    refuse_inputs(other, (data,), option="--out")
    refuse_inputs(None, (data,), option="--out")


def test_nothing_is_written_into_the_folder_of_a_model(tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    for folder in (base, adapter):
        folder.mkdir()
    for place in (base / "x.csv", adapter / "deep" / "x.csv"):
        with pytest.raises(OutputError, match="in the folder of a model"):
            refuse_inputs(place, (f"{base}+{adapter}",), option="--out")
    refuse_inputs(tmp_path / "x.csv", (f"{base}+{adapter}",), option="--out")
