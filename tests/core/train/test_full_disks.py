"""A disk that is full while a training writes: how much is needed, and that nothing is lost."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import small_trainings as small
import transformers
from safetensors import SafetensorError, safe_open

from core.cli.commands import main
from core.cli.desktop import Desktop
from core.disk import write_error
from core.errors import OutputError
from core.train.faults import says_what_is_kept
from core.train.training import train_sub_models

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
GOES_ON = "what was saved before is whole, and the same command goes on from there"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    small.base_folder(tmp_path / "base")
    small.rows_file(tmp_path / "rows.jsonl")
    return tmp_path


def fail_while_it_saves(patch: pytest.MonkeyPatch, error: BaseException, epoch: int = 2) -> None:
    """Some of the model is written, and then there is no more room."""

    def save(self: Any, folder: str, **_: Any) -> None:
        if f"epoch-{epoch}" not in folder:
            saved(self, folder, **_)
            return
        os.makedirs(folder)
        (Path(folder) / "model.safetensors").write_bytes(bytes(1000))
        raise error

    saved = transformers.LlamaForCausalLM.save_pretrained
    patch.setattr(transformers.LlamaForCausalLM, "save_pretrained", save)


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        SafetensorError('Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "…" })'),
    ],
    ids=["the system", "a quota", "safetensors", "an older safetensors"],
)
def test_an_epoch_that_has_no_room_says_how_much_it_takes(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    asked = small.request(place / "base", place / "rows.jsonl", place / "runs", save_every_s=0)
    target = place / "runs" / "order-1" / "epoch-2"
    with monkeypatch.context() as patch:
        fail_while_it_saves(patch, error)
        patch.setattr("core.train.faults.free_disk_bytes", lambda folder: 1234)
        with pytest.raises(OutputError) as raised:
            train_sub_models(asked)
    assert raised.value.message == f"cannot write {target}: there is no room left on the disk"
    with safe_open(target.with_name("epoch-1") / "model.safetensors", "pt") as stored:
        size = sum(stored.get_tensor(name).nbytes for name in stored.keys())  # noqa: SIM118
    takes = f"this model takes {size / 1000:.3g} kB, and 1.23 kB are free"
    assert raised.value.hint == f"make room: {takes}; {GOES_ON}"
    assert not target.with_name("epoch-2.partial").exists()  # which would need room as well
    seen: list[int] = []
    again = train_sub_models(asked, on_step=lambda done: seen.append(done.step))
    assert seen == [8]  # from the step before
    assert again.orders[0].epochs[1] == target


def test_another_fault_of_the_disk_is_not_taken_for_a_full_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_while_it_saves(
            patch, SafetensorError("Error while serializing: I/O error: Input/output error"), 1
        )
        with pytest.raises(
            OutputError, match=r"epoch-1: Error while serializing: I/O error: Input"
        ) as raised:
            train_sub_models(small.request(place / "base", place / "rows.jsonl", place / "runs"))
    assert raised.value.hint is None


def test_a_model_that_is_written_and_does_not_reach_the_disk(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a quota: there is room for others."""

    def full(folder: Path) -> None:
        raise write_error(FULL, folder) from FULL

    monkeypatch.setattr("core.train.models.sync_files", full)
    with pytest.raises(OutputError, match=r"order-1/epoch-1: there is no room left") as raised:
        train_sub_models(small.request(place / "base", place / "rows.jsonl", place / "runs"))
    assert re.fullmatch(rf"make room: this model takes [0-9.]+ kB; {GOES_ON}", raised.value.hint or "")


def test_whatever_else_finds_the_disk_full_says_that_nothing_is_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise write_error(FULL, place / "runs" / "order-1" / "log.jsonl") from FULL

    monkeypatch.setattr("core.train.watching.log_step", full)
    arguments = [str(place / "base"), "--data", str(place / "rows.jsonl"), "--out", str(place / "runs")]
    desktop = Desktop(lambda: False, lambda demo: 0, lambda record, folder: [])
    assert main(desktop, ["train", *arguments, "--orders", "1", "--device", "cpu", "--threads", "1"]) == 1
    said = capfd.readouterr().err
    assert "log.jsonl: No space left on device" in said
    assert f"hint: free some space: {GOES_ON}" in said
    assert "another disk" not in said
    other = write_error(OSError(errno.EIO, "Input/output error"), place)
    assert says_what_is_kept(other, OSError(errno.EIO, "")).hint is None
