"""The staging folder: made, gone on with, given its name, left and removed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from disk_faults import Faulty, Watched, in_place
from small_merges import contents, error_of

from core import disk
from core.checkpoint.journal import read_journal
from core.checkpoint.listed_files import FileRecord
from core.checkpoint.output import settle
from core.checkpoint.ownership import OWN_FOLDER
from core.checkpoint.record_file import RECORD_NAME, record_bytes
from core.checkpoint.staging import JOURNAL_NAME, Staging, aside_path, staging_path
from core.errors import OutputError, RunningError

NAMES = ["config.json", "templates/chat.jinja"]


def record_of(run_id: str) -> bytes:
    head = {"schema_version": 2, "run_id": run_id, "started": None, "record_digest": None}
    head |= {"files": [FileRecord(name, 1, "0" * 32).data() for name in NAMES]}
    head |= {"recipe": {}, "inputs": [], "software": {}, "device": "cpu", "seconds": 1.0, "bytes_read": 0}
    return record_bytes(head, [])


def begun(out: Path, text: bytes = b"x", **options: Any) -> Staging:
    """A staging folder with everything but its final name."""
    staging = Staging(out, **options)
    if not staging.entries:
        staging.begin_journal({"run_id": staging.run_id, "names": NAMES}, 100_000)
    for name in NAMES:
        staging.add_file(name, [text])
    staging.write_record(record_of(staging.run_id))
    return staging


def finish(staging: Staging, *, overwrite: bool = False) -> list[str]:
    notes: list[str] = []
    staging.finish(overwrite=overwrite, note=notes.append)
    return notes


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestFinishing:
    def test_the_name_comes_last(self, tmp_path: Path) -> None:
        out = tmp_path / "deep" / "out"
        staging = begun(out)
        assert not out.exists()
        assert finish(staging) == []
        assert contents(out).keys() == {*NAMES, RECORD_NAME}
        assert names_in(out.parent) == ["out"]

    def test_an_old_output_is_replaced(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        finish(begun(out, b"old"))
        staging = begun(out, b"new")
        assert (out / "config.json").read_bytes() == b"old"
        assert finish(staging, overwrite=True) == []
        assert (out / "config.json").read_bytes() == b"new"
        assert names_in(tmp_path) == ["out"]

    def test_without_descriptors_of_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on Windows: nothing but the output is left under either name."""
        monkeypatch.setattr(disk, "_BY_DESCRIPTOR", False)
        finish(begun(tmp_path / "out", b"old"))
        assert finish(begun(tmp_path / "out", b"new"), overwrite=True) == []
        assert contents(tmp_path / "out").keys() == {*NAMES, RECORD_NAME}
        assert names_in(tmp_path) == ["out"]

    def test_a_link_to_an_old_output(self, tmp_path: Path) -> None:
        finish(begun(tmp_path / "target", b"old"))
        (tmp_path / "out").symlink_to("target")
        finish(begun(tmp_path / "out", b"new"), overwrite=True)
        assert (tmp_path / "target" / "config.json").read_bytes() == b"old"
        assert (tmp_path / "out" / "config.json").read_bytes() == b"new"
        assert not (tmp_path / "out").is_symlink()

    def test_an_output_that_appeared_meanwhile(self, tmp_path: Path) -> None:
        staging = begun(tmp_path / "out")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("mine")
        for overwrite in (False, True):
            error = error_of(finish, staging, overwrite=overwrite)
            assert error is not None
            assert str(tmp_path / "out") in error.message
        staging.leave()
        assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
        assert names_in(tmp_path) == ["out", "out.partial"]

    def test_a_file_that_came_into_the_old_output_meanwhile(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        finish(begun(out, b"old"))
        staging = begun(out, b"new")
        (out / "thesis.tex").write_text("mine")
        with pytest.raises(OutputError, match=r"thesis\.tex"):
            finish(staging, overwrite=True)
        staging.leave()
        assert (out / "thesis.tex").read_text() == "mine"
        assert (out / "config.json").read_bytes() == b"old"

    def test_a_file_that_comes_into_the_old_output_at_the_last_moment(self, tmp_path: Path) -> None:
        """Between the look and the removal: it stays, and that is said."""
        out = tmp_path / "out"
        finish(begun(out, b"old"))
        staging = begun(out, b"new")

        class Late(Watched):
            def around(self, name: str, do: Any, given: Any, named: Any) -> Any:
                result = do(*given, **named)
                if name == "rename" and Path(given[1]) == aside_path(out, staging.run_id):
                    (Path(given[1]) / "thesis.tex").write_text("mine")
                return result

        with in_place(Late()):
            (note,) = finish(staging, overwrite=True)
        assert "thesis.tex" in note
        aside = aside_path(out, staging.run_id)
        assert (aside / "thesis.tex").read_text() == "mine"
        assert (out / "config.json").read_bytes() == b"new"
        assert settle(out, []) != []
        assert (aside / "thesis.tex").read_text() == "mine"

    @pytest.mark.parametrize("kind", ["EIO", "torn", "gone"])
    def test_an_old_output_stays_until_the_new_name_is_on_the_disk(self, tmp_path: Path, kind: str) -> None:
        """Were it removed before, a loss of power could leave neither name."""
        out = tmp_path / "out"
        finish(begun(out, b"old"))
        staging = begun(out, b"new")
        system = Faulty(-1, kind)
        with in_place(system):
            finish(staging, overwrite=True)
        last = len(system.calls) - 1 - system.calls[::-1].index("rename")
        assert system.calls[last + 1] == "sync", "of the folder with both names"
        staging = begun(out, b"newer")
        with in_place(Faulty(last + 1, kind)):
            notes = finish(staging, overwrite=True)
        assert notes
        assert (out / "config.json").read_bytes() == b"newer"
        assert contents(aside_path(out, staging.run_id)).keys() == {*NAMES, RECORD_NAME}
        assert len(settle(out, [])) == 2
        assert names_in(tmp_path) == ["out"]
        assert contents(out).keys() == {*NAMES, RECORD_NAME}

    @pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO, errno.ENOSPC])
    def test_folders_that_cannot_be_synced(self, tmp_path: Path, number: int) -> None:
        """A file system that has no such thing is no failure; one that fails is."""

        class NoFolderSync(Watched):
            def around(self, name: str, do: Any, given: Any, named: Any) -> Any:
                if name == "sync" and os.path.isdir(f"/proc/self/fd/{given[0]}"):
                    raise OSError(number, os.strerror(number))
                return do(*given, **named)

        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("no /proc")
        with in_place(NoFolderSync()):
            error = error_of(lambda: finish(begun(tmp_path / "out")))
        assert (error is None) == (number in (errno.EINVAL, errno.ENOTSUP))

    def test_folders_that_were_made_for_it_last(self, tmp_path: Path) -> None:
        """Each is a name in the one above, which a loss of power would take."""
        synced: set[int] = set()

        class Noted(Watched):
            def around(self, name: str, do: Any, given: Any, named: Any) -> Any:
                if name == "sync":
                    synced.add(os.fstat(given[0]).st_ino)
                return do(*given, **named)

        with in_place(Noted()):
            finish(begun(tmp_path / "a" / "b" / "out"))
        for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "out"):
            assert folder.stat().st_ino in synced, folder


class TestOwning:
    def test_only_one_at_a_time(self, tmp_path: Path) -> None:
        first = begun(tmp_path / "out")
        before = contents(staging_path(tmp_path / "out"))
        for go_on in (False, True):
            error = error_of(Staging, tmp_path / "out", go_on=go_on)
            assert error is not None
            assert isinstance(error, RunningError) == go_on
        assert contents(staging_path(tmp_path / "out")) == before
        finish(first)

    def test_going_on(self, tmp_path: Path) -> None:
        first = begun(tmp_path / "out")
        first.note([{"part": 1}])
        first.leave()
        second = Staging(tmp_path / "out", go_on=True)
        assert second.run_id == first.run_id
        assert second.entries[-1] == {"part": 1}
        second.note([{"part": 2}])
        assert read_journal(staging_path(tmp_path / "out") / JOURNAL_NAME)[-1] == {"part": 2}
        finish(second)

    def _given_away(self, out: Path, how: str) -> Staging:
        staging = begun(out)
        partial = staging_path(out)
        if how == "removed":
            shutil.rmtree(partial)
        elif how == "replaced":
            shutil.rmtree(partial)
            shutil.copytree(Path(__file__).parent, partial)
        elif how == "moved":
            partial.rename(out.with_name("moved"))
        elif how == "a link":
            partial.rename(out.with_name("moved"))
            partial.symlink_to("moved")
        else:
            note = partial / OWN_FOLDER / "owner.json"
            note.write_text(note.read_text().replace(staging._ownership.owner.token, "another"))
        return staging

    @pytest.mark.parametrize("how", ["removed", "replaced", "moved", "a link", "taken over"])
    def test_a_folder_that_was_given_away(self, tmp_path: Path, how: str) -> None:
        """It is noticed before the record, before the name and before anything is deleted."""
        out = tmp_path / "out"
        staging = self._given_away(out, how)
        before = contents(tmp_path)
        for do in (
            lambda: staging.write_record(b"{}"),
            lambda: finish(staging),
            lambda: finish(staging, overwrite=True),
        ):
            error = error_of(do)
            assert error is not None
            assert f"{staging_path(out)} was removed, or taken by another merge" in error.message
        staging.abandon()
        assert contents(tmp_path) == before
        assert not out.exists()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    def test_a_folder_that_another_took_as_soon_as_it_was_made(self, tmp_path: Path) -> None:
        """It goes on with what it finds, and its lock and its journal stay."""
        out = tmp_path / "out"
        others: list[Staging] = []

        class Late(Watched):
            def around(self, name: str, do: Any, given: Any, named: Any) -> Any:
                result = do(*given, **named)
                if name == "make_folder" and Path(given[0]) == staging_path(out):
                    others.append(begun(out, b"other", go_on=True))
                return result

        with in_place(Late()), pytest.raises(RunningError):
            Staging(out)
        (other,) = others
        assert finish(other) == []
        assert (out / "config.json").read_bytes() == b"other"

    def test_a_forked_child_owns_nothing(self, tmp_path: Path) -> None:
        staging = begun(tmp_path / "out")
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert isinstance(error_of(Staging, tmp_path / "out", go_on=True), RunningError)
        finish(staging)


class TestLeaving:
    def test_abandoned(self, tmp_path: Path) -> None:
        for out in (tmp_path / "out", tmp_path / "new" / "deep" / "out"):
            begun(out).abandon()
            assert not list(tmp_path.iterdir())

    def test_abandoned_beside_something_new(self, tmp_path: Path) -> None:
        staging = begun(tmp_path / "new" / "out")
        (tmp_path / "new" / "mine").write_text("")
        staging.abandon()
        assert names_in(tmp_path / "new") == ["mine"]

    def test_abandoned_with_a_file_of_somebody(self, tmp_path: Path) -> None:
        staging = begun(tmp_path / "out")
        (staging_path(tmp_path / "out") / "thesis.tex").write_text("mine")
        staging.abandon()
        assert (staging_path(tmp_path / "out") / "thesis.tex").read_text() == "mine"
        assert "config.json" not in names_in(staging_path(tmp_path / "out"))

    @pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "gone"])
    def test_of_a_folder_that_cannot_be_made_nothing_stays(self, tmp_path: Path, kind: str) -> None:
        system = Faulty(-1, kind)
        with in_place(system):
            Staging(tmp_path / "new" / "out").abandon()
        for at in range(system.calls.index("lock") + 1):
            with in_place(Faulty(at, kind)):
                error = error_of(Staging, tmp_path / "new" / "out")
            assert isinstance(error, OutputError)
            if kind != "gone":
                left = contents(tmp_path)
                assert set(left) <= {"new/out.partial/.paramosaic/lock"}, at
            shutil.rmtree(tmp_path / "new", ignore_errors=True)

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="File name too long"):
            Staging(tmp_path / "new" / ("x" * 255))
        assert not list(tmp_path.iterdir())


class TestFiles:
    def test_a_file_that_is_there_is_replaced(self, tmp_path: Path) -> None:
        staging = begun(tmp_path / "out")
        written = staging.add_file("config.json", [b"ab", b"", b"c"])
        assert (staging.folder.path / "config.json").read_bytes() == b"abc"
        assert (written.name, written.size_bytes) == ("config.json", 3)
        staging.abandon()

    @pytest.mark.parametrize("name", ["config.json", "templates/chat.jinja", "templates"])
    def test_a_link_is_never_written_through(self, tmp_path: Path, name: str) -> None:
        mine = tmp_path / "mine"
        mine.mkdir()
        (mine / "chat.jinja").write_text("mine")
        first = begun(tmp_path / "out")
        first.leave()
        path = staging_path(tmp_path / "out") / name
        if path.is_dir():
            shutil.rmtree(path)
            path.symlink_to(mine)
        else:
            path.unlink()
            path.symlink_to(mine / "chat.jinja")
        staging = Staging(tmp_path / "out", go_on=True)
        for each in NAMES:
            error_of(staging.add_file, each, [b"new"])
        staging.abandon()
        assert contents(mine) == {"chat.jinja": b"mine"}

    def test_the_last_room_is_for_the_record(self, tmp_path: Path) -> None:
        """The disk is full by then: what was set aside is enough, for the journal and for the record."""
        staging = Staging(tmp_path / "out")
        staging.begin_journal({"run_id": staging.run_id, "names": NAMES}, 100_000)
        reserve = staging.folder.path / OWN_FOLDER / "reserve"
        assert reserve.stat().st_size == 100_000
        with in_place(Faulty(0, "full")):
            staging.note([{"part": 1}])
            assert not reserve.exists()
            staging.write_record(record_of(staging.run_id))
        finish(staging)
        assert RECORD_NAME in names_in(tmp_path / "out")

    def test_the_last_room_without_a_call_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        staging = Staging(tmp_path / "out")
        staging.begin_journal({"run_id": staging.run_id, "names": NAMES}, 3_000_000)
        reserve = staging.folder.path / OWN_FOLDER / "reserve"
        assert reserve.stat().st_blocks * 512 >= 3_000_000
        staging.write_record(record_of(staging.run_id))
        assert not reserve.exists()
        staging.leave()

    def test_no_room_for_it(self, tmp_path: Path) -> None:
        """That is said before the work, and not after it."""

        class NoRoom(Watched):
            def around(self, name: str, do: Any, given: Any, named: Any) -> Any:
                if name == "reserve":
                    raise OSError(errno.ENOSPC, "No space left on device")
                return do(*given, **named)

        staging = Staging(tmp_path / "out")
        with in_place(NoRoom()), pytest.raises(OutputError, match="No space left"):
            staging.begin_journal({"run_id": staging.run_id, "names": NAMES}, 100_000)
        staging.abandon()
        assert names_in(tmp_path) == []
