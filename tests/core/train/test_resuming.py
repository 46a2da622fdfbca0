"""What an unfinished run goes on from: only what is whole, and the newest of that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from disk_faults import Faulty, in_place

from core.errors import OutputError
from core.train.resuming import ResumePoints, remove_folder


def write(points: ResumePoints, step: int) -> None:
    points.make_room()
    work = points.writing / f"checkpoint-{step}"
    work.mkdir()
    for name in ("model.safetensors", "optimizer.pt", "rng_state.pth"):
        (work / name).write_bytes(f"{name} after {step}".encode() * 100)


def sealed(folder: Path, *steps: int) -> ResumePoints:
    points = ResumePoints(folder / "resume")
    for step in steps:
        write(points, step)
        points.seal(step)
    return points


def newest_step(points: ResumePoints) -> int | None:
    found = points.newest()
    return None if found is None else found[0]


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    assert ResumePoints(tmp_path / "resume").newest() is None


def test_the_newest_is_gone_on_from_and_two_are_kept(tmp_path: Path) -> None:
    points = sealed(tmp_path, 5, 9, 10, 101)
    assert points.newest() == (101, points.folder / "step-101")
    assert points.steps() == [10, 101]


def test_there_is_never_room_needed_for_three(tmp_path: Path) -> None:
    points = sealed(tmp_path, 5, 9)
    write(points, 10)
    assert points.steps() == [9]


def test_half_of_one_is_nothing(tmp_path: Path) -> None:
    points = sealed(tmp_path, 5)
    write(points, 9)
    assert newest_step(points) == 5
    points.make_room()
    assert not list(points.writing.iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth", "whole.json"])
@pytest.mark.parametrize("damage", ["cut", "bit", "gone"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, name: str, damage: str) -> None:
    points = sealed(tmp_path, 5, 9)
    path = points.folder / "step-9" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "bit" else content[:-1])
    assert newest_step(points) == 5


def test_a_damaged_one_is_written_again(tmp_path: Path) -> None:
    points = sealed(tmp_path, 5, 9)
    (points.folder / "step-9" / "optimizer.pt").unlink()
    write(points, 9)
    points.seal(9)
    assert newest_step(points) == 9


def test_whatever_call_fails_one_is_whole(tmp_path: Path) -> None:
    points = sealed(tmp_path, 5)
    calls = Faulty(-1, "EIO")
    write(points, 9)
    with in_place(calls):
        points.seal(9)
    assert calls.calls
    for at in range(len(calls.calls)):
        points = sealed(tmp_path / str(at), 5)
        write(points, 9)
        fault = Faulty(at, "EIO")
        with in_place(fault), pytest.raises(OutputError):
            points.seal(9)
        assert fault.hit
        assert newest_step(points) in (5, 9)


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "others"
    other.mkdir()
    (other / "kept").write_text("x")
    points = ResumePoints(tmp_path / "resume")
    os.symlink(other, points.folder)
    remove_folder(points.folder)
    assert not points.folder.is_symlink()
    assert (other / "kept").exists()
