"""The output folder: refused, staged, given its name, put back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.checkpoint.files import ReadFile, WriteFile, read_rows, write_small_file
from core.checkpoint.output import RECORD_NAME, Staging, check_output, free_disk_bytes, restore_interrupted
from core.errors import CheckpointError, OutputError


def _output(folder: Path, text: str = "one") -> Path:
    folder.mkdir(parents=True)
    (folder / RECORD_NAME).write_text(text)
    return folder


class TestStaging:
    def test_the_name_comes_last(self, tmp_path: Path) -> None:
        out = tmp_path / "deep" / "out"
        staging = Staging(out)
        staging.add_file("config.json", b"{}")
        staging.add_file("templates/chat.jinja", b"x")
        assert not out.exists()
        staging.finish(overwrite=False)
        assert (out / "templates" / "chat.jinja").read_bytes() == b"x"
        assert [path.name for path in out.parent.iterdir()] == ["out"]

    def test_abandoned(self, tmp_path: Path) -> None:
        for out in (tmp_path / "out", tmp_path / "new" / "deep" / "out"):
            staging = Staging(out)
            staging.add_file("a/b", b"x")
            staging.abandon()
            assert not list(tmp_path.iterdir())

    def test_abandoned_beside_something_new(self, tmp_path: Path) -> None:
        staging = Staging(tmp_path / "new" / "out")
        (tmp_path / "new" / "mine").write_text("")
        staging.abandon()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine"]

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="File name too long"):
            Staging(tmp_path / "new" / ("x" * 255))
        assert not list(tmp_path.iterdir())

    def test_only_one_at_a_time(self, tmp_path: Path) -> None:
        first = Staging(tmp_path / "out")
        first.add_file("a", b"x")
        with pytest.raises(OutputError, match="cannot make the folder"):
            Staging(tmp_path / "out")
        assert (first.folder / "a").read_bytes() == b"x"

    def test_a_file_is_never_written_twice(self, tmp_path: Path) -> None:
        staging = Staging(tmp_path / "out")
        staging.add_file("a", b"x")
        with pytest.raises(OutputError, match="File exists"):
            staging.add_file("a", b"y")

    def test_overwriting(self, tmp_path: Path) -> None:
        out = _output(tmp_path / "out", "old")
        staging = Staging(out)
        staging.add_file(RECORD_NAME, b"new")
        assert (out / RECORD_NAME).read_text() == "old"
        staging.finish(overwrite=True)
        assert (out / RECORD_NAME).read_text() == "new"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_overwriting_a_link_leaves_its_target(self, tmp_path: Path) -> None:
        target = _output(tmp_path / "target", "old")
        (tmp_path / "out").symlink_to("target")
        staging = Staging(tmp_path / "out")
        staging.add_file(RECORD_NAME, b"new")
        staging.finish(overwrite=True)
        assert (target / RECORD_NAME).read_text() == "old"
        assert (tmp_path / "out" / RECORD_NAME).read_text() == "new"
        assert not (tmp_path / "out").is_symlink()

    def test_an_output_that_appeared_meanwhile(self, tmp_path: Path) -> None:
        staging = Staging(tmp_path / "out")
        _output(tmp_path / "out", "other")
        with pytest.raises(OutputError, match="appeared while it ran"):
            staging.finish(overwrite=False)
        assert (tmp_path / "out" / RECORD_NAME).read_text() == "other"


def _restore(out: Path) -> None:
    restore_interrupted(out, [], overwrite=False)


class TestPuttingBack:
    def test_the_newest(self, tmp_path: Path) -> None:
        for at, name in enumerate(("out.old-00000001", "out.old-00000002")):
            folder = _output(tmp_path / name, str(at))
            os.utime(folder, ns=(at, at))
        _restore(tmp_path / "out")
        assert (tmp_path / "out" / RECORD_NAME).read_text() == "1"
        assert (tmp_path / "out.old-00000001").exists()

    def test_not_beside_an_output(self, tmp_path: Path) -> None:
        _output(tmp_path / "out")
        _output(tmp_path / "out.old-0123abcd")
        _restore(tmp_path / "out")
        assert (tmp_path / "out.old-0123abcd").exists()

    @pytest.mark.parametrize("name", ["xout.old-0123abcd", "out.older", "out2.old-0123abcd"])
    def test_not_what_has_another_name(self, tmp_path: Path, name: str) -> None:
        _output(tmp_path / name)
        _restore(tmp_path / "out")
        assert (tmp_path / name).exists()

    def test_not_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "out.old-0123abcd").write_text("a file")
        _restore(tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_not_an_input(self, tmp_path: Path) -> None:
        _output(tmp_path / "out.old-0123abcd")
        with pytest.raises(OutputError, match="input"):
            restore_interrupted(tmp_path / "out", [tmp_path / "out.old-0123abcd"], overwrite=True)
        assert (tmp_path / "out.old-0123abcd").exists()

    def test_what_someone_else_set_aside_is_not_overwritten_at_once(self, tmp_path: Path) -> None:
        (_output(tmp_path / "out.old-backup") / "mine.txt").write_text("mine")
        with pytest.raises(OutputError, match="interrupted overwrite"):
            restore_interrupted(tmp_path / "out", [], overwrite=True)
        assert (tmp_path / "out" / "mine.txt").read_text() == "mine"

    def test_our_own_may_be_overwritten_at_once(self, tmp_path: Path) -> None:
        _output(tmp_path / "out.old-0123abcd")
        restore_interrupted(tmp_path / "out", [], overwrite=True)
        assert (tmp_path / "out").exists()

    def test_where_there_is_no_parent(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        _restore(tmp_path / "gone" / "out")
        _restore(tmp_path / "file" / "out")


class TestRefusals:
    def test_a_new_folder_is_fine(self, tmp_path: Path) -> None:
        check_output(tmp_path / "a" / "b" / "out", [tmp_path / "model"], overwrite=False)
        assert not list(tmp_path.iterdir())
        assert free_disk_bytes(tmp_path / "a" / "b" / "out") > 0

    @pytest.mark.parametrize("place", ["model", "model/x", "model/x/y", ".", "../{name}", "link", "link/x"])
    def test_inputs(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "model").mkdir()
        (tmp_path / "link").symlink_to("model")
        out = tmp_path / place.format(name=tmp_path.name)
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="input"):
                check_output(out, [tmp_path / "model"], overwrite=overwrite)

    def test_a_model_beside_is_no_input(self, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        check_output(tmp_path / "model2", [tmp_path / "model"], overwrite=False)

    @pytest.mark.parametrize("names", [[], [RECORD_NAME], ["model.safetensors", RECORD_NAME]])
    def test_what_may_be_overwritten(self, tmp_path: Path, names: list[str]) -> None:
        (tmp_path / "out").mkdir()
        for name in names:
            (tmp_path / "out" / name).write_text("")
        check_output(tmp_path / "out", [], overwrite=True)
        with pytest.raises(OutputError, match="exists already"):
            check_output(tmp_path / "out", [], overwrite=False)

    @pytest.mark.parametrize(
        "names",
        [
            ["config.json"],
            ["thesis.tex"],
            ["model.safetensors", "config.json"],
            ["x.safetensors.txt"],
            [".git"],
        ],
    )
    def test_what_may_not(self, tmp_path: Path, names: list[str]) -> None:
        (tmp_path / "out").mkdir()
        for name in names:
            (tmp_path / "out" / name).write_text("")
        with pytest.raises(OutputError, match="is not the result of a merge"):
            check_output(tmp_path / "out", [], overwrite=True)

    @pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
    def test_what_a_crash_left(self, tmp_path: Path, kind: str) -> None:
        left = tmp_path / "out.partial"
        if kind == "folder":
            left.mkdir()
        elif kind == "file":
            left.write_text("")
        else:
            left.symlink_to("gone")
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=r"out\.partial is in the way"):
                check_output(tmp_path / "out", [], overwrite=overwrite)


class TestFiles:
    def test_a_written_file_has_its_size_from_the_start(self, tmp_path: Path) -> None:
        file = WriteFile(tmp_path / "x", 1000)
        assert (tmp_path / "x").stat().st_size == 1000
        file.write_at(memoryview(b"end"), 997)
        file.sync()
        file.close()
        file.close()
        assert (tmp_path / "x").read_bytes() == bytes(997) + b"end"

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("mine")
        with pytest.raises(OutputError, match="File exists"):
            WriteFile(tmp_path / "x", 10)
        with pytest.raises(OutputError, match="File exists"):
            write_small_file(tmp_path / "x", b"y")
        assert (tmp_path / "x").read_text() == "mine"

    def test_short_reads_and_writes_go_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not hasattr(os, "preadv"):
            pytest.skip("no positional calls here")
        preadv, pwrite = os.preadv, os.pwrite
        monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: preadv(fd, [buffers[0][:3]], at))
        monkeypatch.setattr(os, "pwrite", lambda fd, buffer, at: pwrite(fd, buffer[:2], at))
        file = WriteFile(tmp_path / "x", 12)
        file.write_at(memoryview(b"hello world!"), 0)
        file.close()
        buffer = bytearray(8)
        with ReadFile(tmp_path / "x") as read:
            read.read_into(memoryview(buffer), 2)
        assert buffer == b"llo worl"

    def test_without_positional_calls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.checkpoint.files._POSITIONAL", False)
        file = WriteFile(tmp_path / "x", 12)
        file.write_at(memoryview(b"world!"), 6)
        file.write_at(memoryview(b"hello "), 0)
        file.close()
        buffer = bytearray(5)
        with ReadFile(tmp_path / "x") as read:
            read.read_into(memoryview(buffer), 6)
            assert buffer == b"world"
            with pytest.raises(CheckpointError, match="ended before byte"):
                read.read_into(memoryview(bytearray(5)), 10)

    @pytest.mark.parametrize("positional", [True, False])
    def test_rows_of_several_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positional: bool
    ) -> None:
        if not positional:
            monkeypatch.setattr("core.checkpoint.files._POSITIONAL", False)
        (tmp_path / "x").write_bytes(b"hello world!")
        (tmp_path / "y").write_bytes(b"0123456789")
        with ReadFile(tmp_path / "x") as x, ReadFile(tmp_path / "y") as y:
            memory = bytearray(12)
            parts = memoryview(memory)[:5], memoryview(memory)[5:5], memoryview(memory)[5:12]
            read_rows([(x, 6, parts[0]), (x, 12, parts[1]), (y, 3, parts[2])])
            assert memory == b"world3456789"
            read_rows([])
            with pytest.raises(CheckpointError, match=r"y ended before byte 11"):
                read_rows([(x, 0, parts[0]), (y, 4, parts[2]), (x, 0, parts[0])])

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"cannot read .*gone: No such file"):
            ReadFile(tmp_path / "gone")
