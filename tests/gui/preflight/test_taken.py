"""What is said of an output that exists already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gui.preflight.taken
from gui.preflight.taken import _content


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three files of 10 bytes, one of them in a folder of it."""
    folder = tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/c"):
        (folder / name).write_bytes(bytes(10))
    return folder


def test_files_are_counted_in_all_its_folders(out: Path) -> None:
    assert _content(out, ours=True) == "a finished merge, 3 files, 30\u00a0bytes"
    assert _content(out, ours=False) == "other files, 3 files, 30\u00a0bytes"


def test_a_link_in_it_is_not_followed(out: Path) -> None:
    (out / "around").symlink_to(out, target_is_directory=True)
    assert _content(out, ours=True).startswith("a finished merge, 4 files, ")


def test_folders_without_files_are_empty(tmp_path: Path) -> None:
    (tmp_path / "out" / "inner").mkdir(parents=True)
    assert _content(tmp_path / "out", ours=False) == "an empty folder"


def test_a_file_that_goes_meanwhile_is_not_counted(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    class Scan:
        """As os.scandir, but the file `a` goes once it is listed, as when the folder is being removed."""

        def __init__(self, folder: str) -> None:
            self._entries = list(real(folder))

        def __enter__(self) -> list[os.DirEntry[str]]:
            (out / "a").unlink(missing_ok=True)
            return self._entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Scan)
    assert _content(out, ours=True) == "a finished merge, 2 files, 20\u00a0bytes"


@pytest.mark.parametrize("folders", [False, True])
def test_no_more_than_some_are_looked_at(out: Path, monkeypatch: pytest.MonkeyPatch, folders: bool) -> None:
    monkeypatch.setattr(gui.preflight.taken, "_MOST", 20)
    for number in range(30):
        place = out / "inner" / str(number)
        place.mkdir() if folders else place.touch()
    assert _content(out, ours=False) == "other files, more than 20 files"
