"""Output folders from outside: refused, put back, cleaned, looked at."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from disk_faults import Faulty, in_place

from core.checkpoint.files import ReadFile, WriteFile, read_rows
from core.checkpoint.journal import Journal
from core.checkpoint.listed_files import FileRecord
from core.checkpoint.output import check_output, free_disk_bytes, held_bytes, leftover_of, settle
from core.checkpoint.ownership import OWN_FOLDER, Ownership
from core.checkpoint.record_file import RECORD_NAME, record_bytes
from core.checkpoint.staging import JOURNAL_NAME, aside_path, staging_path
from core.disk import OpenFolder, write_new_file
from core.errors import CheckpointError, OutputError, RunningError, UnfinishedError

RUN, OTHER = "20250131T140300-0123abcd", "20240131T140300-89abcdef"


def make_output(folder: Path, run_id: str = RUN, text: str = "one") -> Path:
    """An output of one file, with its record."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)
    head = {"schema_version": 2, "run_id": run_id, "started": None, "record_digest": None}
    head |= {"files": [FileRecord("config.json", len(text), "0" * 32).data()]}
    head |= {"recipe": {}, "inputs": [], "software": {}, "device": "cpu", "seconds": 1.0, "bytes_read": 0}
    (folder / RECORD_NAME).write_bytes(record_bytes(head, []))
    return folder


def make_staging(out: Path, run_id: str = RUN, *more: dict[str, object]) -> Path:
    """What a merge into `out` leaves."""
    staging = staging_path(out)
    (staging / OWN_FOLDER).mkdir(parents=True)
    (staging / "config.json").write_text("new")
    with OpenFolder(staging) as folder:
        Journal(folder, JOURNAL_NAME, [{"run_id": run_id, "names": ["config.json"]}, *more]).close()
    return staging


def tree(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestSettling:
    """What a merge left that was cut off while it put its result in place."""

    def test_the_old_output_is_put_back(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        make_staging(out)
        make_output(aside_path(out, RUN), OTHER, "old")
        notes = settle(out, [])
        assert notes == [
            f"put back {out}, which an interrupted overwrite had set aside as {aside_path(out, RUN)}"
        ]
        assert (out / "config.json").read_text() == "old"
        assert settle(out, []) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.partial"]

    def test_beside_the_new_one_the_old_one_is_removed(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        assert settle(out, []) == [f"removed {aside}, which {out} replaced"]
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert settle(out, []) == []

    def test_not_before_the_new_name_is_on_the_disk(self, tmp_path: Path) -> None:
        """Without power at the wrong moment there would be neither."""
        out = make_output(tmp_path / "out")
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        system = Faulty(0, "EIO")
        with in_place(system):
            (note,) = settle(out, [])
        assert system.calls == ["sync"]
        assert "is not removed" in note
        assert sorted(path.name for path in aside.iterdir()) == ["config.json", RECORD_NAME]

    def test_what_was_left_in_the_new_one(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        (out / OWN_FOLDER).mkdir()
        for name in ("lock", "owner.json", "journal", "reserve"):
            (out / OWN_FOLDER / name).write_text("")
        assert settle(out, []) == [f"removed {out / OWN_FOLDER}, which was left over"]
        assert sorted(path.name for path in out.iterdir()) == ["config.json", RECORD_NAME]

    @pytest.mark.parametrize(
        "name",
        [
            "out.old-2023",
            "out.deleted-x",
            "out.old-backup",
            f"out.old-{OTHER}",
            f"out2.old-{RUN}",
            "out.older",
        ],
    )
    def test_what_is_somebodys(self, tmp_path: Path, name: str) -> None:
        """Whatever it is called, whatever is in it, with an output beside it or without."""
        out = tmp_path / "out"
        (make_output(tmp_path / name, "x", "mine") / "thesis.tex").write_text("mine")
        before = tree(tmp_path)
        assert settle(out, []) == []
        assert tree(tmp_path) == before
        make_output(out)
        make_staging(out)
        before = tree(tmp_path)
        assert settle(out, []) == []
        assert tree(tmp_path) == before

    def test_somebodys_file_in_what_was_replaced(self, tmp_path: Path) -> None:
        """It came there after the merge had looked."""
        out = make_output(tmp_path / "out")
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        (aside / "thesis.tex").write_text("mine")
        (note,) = settle(out, [])
        assert "thesis.tex" in note
        assert str(aside) in note
        assert (aside / "thesis.tex").read_text() == "mine"

    def test_an_input_is_not_removed(self, tmp_path: Path) -> None:
        """The output that was replaced is a model of the next merge."""
        out = make_output(tmp_path / "out")
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        (note,) = settle(out, [aside])
        assert "is not removed" in note
        assert (aside / "config.json").read_text() == "old"

    def test_what_cannot_be_removed_is_said(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        with in_place(Faulty(0, "EIO")):
            (note,) = settle(out, [])
        assert str(aside) in note
        assert "Input/output error" in note
        assert settle(out, []) == [f"removed {aside}, which {out} replaced"]

    def test_what_cannot_be_put_back_is_an_error(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        make_staging(out)
        aside = make_output(aside_path(out, RUN), OTHER, "old")
        with in_place(Faulty(0, "EIO")), pytest.raises(OutputError, match="cannot put back") as error:
            settle(out, [])
        assert str(aside) in error.value.message
        settle(out, [])
        assert (out / "config.json").read_text() == "old"

    def test_not_while_a_merge_runs(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        staging = make_staging(out)
        make_output(aside_path(out, RUN), OTHER, "old")
        with OpenFolder(staging) as folder:
            ownership = Ownership(folder, RUN)
            assert settle(out, []) == []
            ownership.release()
        assert not out.exists()

    def test_where_there_is_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "empty").mkdir()
        for out in (
            tmp_path / "out",
            tmp_path / "gone" / "out",
            tmp_path / "file" / "out",
            tmp_path / "empty",
        ):
            assert settle(out, []) == []

    @pytest.mark.parametrize("run_id", ["../../x", "a/b", "", 3, None])
    def test_a_journal_with_no_name_of_a_merge(self, tmp_path: Path, run_id: object) -> None:
        out = tmp_path / "out"
        make_staging(out, run_id)  # type: ignore[arg-type]
        (tmp_path / f"out.old-{str(run_id).replace('/', '')}").mkdir()
        before = sorted(tmp_path.iterdir())
        assert settle(out, []) == []
        assert sorted(tmp_path.iterdir()) == before


class TestLeftovers:
    def test_how_far_it_got(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        assert leftover_of(out) is None
        staging = make_staging(out, RUN, {"part": 0, "done": 0.25}, {"part": 1, "done": 0.636})
        old = time.time() - 3 * 3600
        for path in (staging, staging / JOURNAL_NAME):
            os.utime(path, (old, old))
        left = leftover_of(out)
        assert left is not None
        assert (left.path, left.runs, left.fraction) == (staging, False, 0.636)
        assert left.age_s == pytest.approx(3 * 3600, abs=60)
        assert str(left).startswith("cut off at 63 %, 3 h")
        assert held_bytes(out) >= len("new")

    @pytest.mark.parametrize("done", ["x", None, 7, float("1e300"), -1.0, [], {}])
    def test_how_far_it_says_it_got(self, tmp_path: Path, done: object) -> None:
        make_staging(tmp_path / "out", RUN, {"part": 0, "done": done})
        left = leftover_of(tmp_path / "out")
        assert left is not None
        assert 0 <= left.fraction <= 1

    def test_before_anything(self, tmp_path: Path) -> None:
        staging_path(tmp_path / "out").mkdir()
        left = leftover_of(tmp_path / "out")
        assert left is not None
        assert "before anything was finished" in str(left)

    @pytest.mark.parametrize("kind", ["file", "link", "folder of others", "broken link"])
    def test_what_is_none(self, tmp_path: Path, kind: str) -> None:
        left = tmp_path / "out.partial"
        if kind == "file":
            left.write_text("")
        elif kind == "folder of others":
            left.mkdir()
            (left / "thesis.tex").write_text("mine")
        elif kind == "link":
            (tmp_path / "mine").mkdir()
            left.symlink_to("mine")
        else:
            left.symlink_to("gone")
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=r"out\.partial is in the way"):
                check_output(tmp_path / "out", [], overwrite=overwrite)


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

    @pytest.mark.parametrize("name", ["out.partial", "out.PARTIAL", "out.partial.partial", ".partial"])
    def test_the_name_of_unfinished_work(self, tmp_path: Path, name: str) -> None:
        """The work of another merge, which is whole but for its name, is no output that can be replaced."""
        staging = make_output(tmp_path / name)
        (staging / OWN_FOLDER).mkdir()
        (staging / OWN_FOLDER / "journal").write_text("of the other")
        before = tree(tmp_path)
        for overwrite in (False, True):
            assert settle(staging, []) == []
            with pytest.raises(OutputError, match="unfinished work") as error:
                check_output(staging, [], overwrite=overwrite, resume=True)
            assert "name the output itself" in str(error.value.hint)
        assert tree(tmp_path) == before

    def test_a_model_beside_is_no_input(self, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        check_output(tmp_path / "model2", [tmp_path / "model"], overwrite=False)

    @pytest.mark.parametrize("more", [[], [".DS_Store"], [".gitattributes", ".cache/huggingface/x"]])
    def test_what_may_be_overwritten(self, tmp_path: Path, more: list[str]) -> None:
        out = make_output(tmp_path / "out")
        for name in more:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text("")
        check_output(out, [], overwrite=True)
        with pytest.raises(OutputError, match="exists already"):
            check_output(out, [], overwrite=False)

    def test_an_empty_folder_may(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        check_output(tmp_path / "out", [], overwrite=True)

    @pytest.mark.parametrize("name", ["thesis.tex", ".git/HEAD", "model.safetensors", "notes/x"])
    def test_what_the_record_does_not_list(self, tmp_path: Path, name: str) -> None:
        out = make_output(tmp_path / "out")
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
        before = tree(tmp_path)
        with pytest.raises(OutputError, match=name.split("/")[0]):
            check_output(out, [], overwrite=True)
        assert tree(tmp_path) == before

    @pytest.mark.parametrize("names", [["config.json"], ["thesis.tex"], [RECORD_NAME], [".git"]])
    def test_what_is_no_output(self, tmp_path: Path, names: list[str]) -> None:
        (tmp_path / "out").mkdir()
        for name in names:
            (tmp_path / "out" / name).write_text("")
        with pytest.raises(OutputError, match="record"):
            check_output(tmp_path / "out", [], overwrite=True)

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        with pytest.raises(OutputError, match="is not the result of a merge"):
            check_output(tmp_path / "out", [], overwrite=True)

    def test_what_was_cut_off(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        staging = make_staging(out, RUN, {"done": 0.5})
        for overwrite in (False, True):
            with pytest.raises(UnfinishedError, match="was cut off at 50 %") as error:
                check_output(out, [], overwrite=overwrite)
            assert error.value.path == staging
            assert "--resume" in str(error.value.hint)
        check_output(out, [], overwrite=False, resume=True)

    def test_what_runs(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with OpenFolder(make_staging(out)) as folder:
            ownership = Ownership(folder, RUN)
            for resume in (False, True):
                with pytest.raises(RunningError, match=f"running as pid {os.getpid()} on"):
                    check_output(out, [], overwrite=True, resume=resume)
            ownership.release()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_parent_that_is_not_writable(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="not writable"):
            check_output(tmp_path / "out", [], overwrite=False)


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
            write_new_file(tmp_path / "x", b"y")
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

    def test_one_that_is_there_is_gone_on_with(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"hello world!")
        file = WriteFile(tmp_path / "x", 12, keep=True)
        assert file.was_there
        file.write_at(memoryview(b"W"), 6)
        file.close()
        assert (tmp_path / "x").read_bytes() == b"hello World!"
        for size in (11, 13):
            other = WriteFile(tmp_path / "x", size, keep=True)
            assert not other.was_there
            other.close()
            assert (tmp_path / "x").stat().st_size == size
        new = WriteFile(tmp_path / "y", 3, keep=True)
        assert not new.was_there
        new.close()

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
