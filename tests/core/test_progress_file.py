"""Events of a child process: lines that are whole, whatever happened to the ones before."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from core.errors import OutputError
from core.progress_file import ProgressFile


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_every_event_is_a_line_of_strict_json(tmp_path: Path) -> None:
    with ProgressFile(tmp_path / "events") as file:
        file.say("began", pid=1)
        file.say("step", loss=math.nan, several=[math.inf, 1.5])
    began, step = map(json.loads, lines_of(tmp_path / "events"))
    assert (began["kind"], began["pid"]) == ("began", 1)
    assert (step["loss"], step["several"]) == (None, [None, 1.5])


def test_without_a_file_nothing_is_said() -> None:
    with ProgressFile(None) as file:
        file.say("began")


def test_a_line_that_was_cut_off_spoils_none_that_follow(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b'{"kind": "began"}\n{"kind": "pro')  # a process that was killed
    with ProgressFile(path) as file:
        file.say("began")
        file.say("done")
    whole = [json.loads(line) for line in lines_of(path)[2:]]
    assert [event["kind"] for event in whole] == ["began", "done"]


def test_an_event_that_a_full_disk_cut_off_spoils_none_that_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [10, 0, 10_000, 10_000]

    def fill(descriptor: int, data: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:left])

    with ProgressFile(tmp_path / "events") as file:
        monkeypatch.setattr(os, "write", fill)
        for kind in ("cut", "lost", "first", "second"):
            file.say(kind)
        monkeypatch.undo()
    cut, *whole = lines_of(tmp_path / "events")
    assert len(cut) == 10
    assert [json.loads(line)["kind"] for line in whole] == ["first", "second"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_nobody_waits_for_the_reader_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ProgressFile(tmp_path / "pipe") as file:
        for _ in range(3):
            file.say("progress", text="x" * 40_000)  # more than it holds


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        ProgressFile(tmp_path)
