"""One owner at a time, as long as it lives and no longer."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from disk_faults import in_place
from small_merges import error_of

from core import disk
from core.checkpoint.ownership import (
    OWN_FOLDER,
    Owner,
    Ownership,
    is_alive,
    is_locked,
    is_run_id,
    new_run_id,
    read_owner,
)
from core.disk import OpenFolder
from core.errors import OutputError, RunningError

ROOT = Path(__file__).parent.parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="a matter of POSIX systems")

_HOLD = """
import os, sys, time
from pathlib import Path
from core.checkpoint.ownership import Ownership
from core.disk import OpenFolder
ownership = Ownership(OpenFolder(Path(sys.argv[1])), "theirs")
if sys.argv[2] == "fork" and os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(600)
"""


class NoLocks(disk.System):
    """A file system that has none."""

    def __init__(self, number: int = errno.ENOLCK) -> None:
        self._number = number

    def lock(self, descriptor: int) -> None:
        raise OSError(self._number, os.strerror(self._number))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OpenFolder]:
    (tmp_path / "out.partial" / OWN_FOLDER).mkdir(parents=True)
    with OpenFolder(tmp_path / "out.partial") as folder:
        yield folder


@pytest.fixture
def hold(folder: OpenFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the folder."""
    with _holding(folder, "stay") as process:
        yield process


def _holding(folder: OpenFolder, way: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder.path), way], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.holder = int(process.stdout.readline())  # type: ignore[attr-defined]
    return process


def _note(folder: OpenFolder, owner: Owner) -> None:
    (folder.path / OWN_FOLDER / "lock").touch()
    (folder.path / OWN_FOLDER / "owner.json").write_text(json.dumps(asdict(owner)))


@posix
class TestLocks:
    def test_another_process_has_it(self, folder: OpenFolder, hold: subprocess.Popen[str]) -> None:
        try:
            assert is_locked(folder.path)
            with pytest.raises(RunningError, match=f"running as pid {hold.pid} on {platform.node()} since"):
                Ownership(folder, "mine")
            with pytest.raises(RunningError):
                Ownership(folder, "mine", take_over=True)
            owner = read_owner(folder.path)
            assert owner is not None
            assert (owner.pid, owner.run_id) == (hold.pid, "theirs")
        finally:
            hold.kill()

    @posix
    def test_of_another_user(self, folder: OpenFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who may not write the lock still sees whether it is held."""
        ownership = Ownership(folder, "theirs")

        def refuse(*given: object, **named: object) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(disk, "open_to_go_on", refuse)
        assert is_locked(folder.path)
        error = error_of(Ownership, folder, "mine")
        assert error is not None
        assert "another user" in str(error.hint)
        ownership.release()
        assert not is_locked(folder.path)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_it_ends_with_its_process(
        self, folder: OpenFolder, hold: subprocess.Popen[str], number: signal.Signals
    ) -> None:
        hold.send_signal(number)
        hold.wait()
        assert not is_locked(folder.path)
        ownership = Ownership(folder, "mine")
        assert not ownership.is_lost()
        ownership.release()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    def test_a_forked_child_does_not_keep_it(self, folder: OpenFolder) -> None:
        """Its parent is dead, and it lives: a lock lasts as long as any process has it open."""
        process = _holding(folder, "fork")
        child = process.holder  # type: ignore[attr-defined]
        process.wait()
        try:
            assert is_alive(child)
            assert not is_locked(folder.path)
            Ownership(folder, "mine").release()
        finally:
            os.kill(child, signal.SIGKILL)
            process.stdout.close()  # type: ignore[union-attr]

    def test_a_program_that_is_started_does_not_keep_it(self, folder: OpenFolder) -> None:
        ownership = Ownership(folder, "mine")
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        ) as other:
            ownership.release()
            until = time.monotonic() + 5
            while is_locked(folder.path) and time.monotonic() < until:
                time.sleep(0.01)  # Linux closes what is not inherited a moment after the program is there
            assert not is_locked(folder.path)
            other.kill()

    def test_twice_in_one_process(self, folder: OpenFolder) -> None:
        first = Ownership(folder, "mine")
        with pytest.raises(RunningError, match=f"pid {os.getpid()} "):
            Ownership(folder, "mine")
        first.release()
        Ownership(folder, "mine").release()

    def test_a_look_does_not_take_it(self, folder: OpenFolder) -> None:
        assert not is_locked(folder.path)
        Ownership(folder, "mine").release()
        assert not is_locked(folder.path)
        assert not is_locked(folder.path / "gone")

    @pytest.mark.parametrize("torn", [b"", b"{", b"\0" * 100, b"[]", b'{"pid": -1}', b"{}" * 100_000])
    def test_a_note_that_says_nothing(self, folder: OpenFolder, torn: bytes) -> None:
        """The process ended while it wrote it."""
        (folder.path / OWN_FOLDER / "owner.json").write_bytes(torn)
        assert read_owner(folder.path) is None
        assert not is_locked(folder.path)
        ownership = Ownership(folder, "mine")
        assert read_owner(folder.path) == ownership.owner
        assert sorted(os.listdir(folder.path / OWN_FOLDER)) == ["lock", "owner.json"]
        ownership.release()

    @pytest.mark.parametrize("name", ["lock", "owner.json"])
    def test_a_link_is_not_written_through(self, folder: OpenFolder, tmp_path: Path, name: str) -> None:
        (tmp_path / "thesis.tex").write_text("mine")
        (folder.path / OWN_FOLDER / name).symlink_to(tmp_path / "thesis.tex")
        error = error_of(lambda: Ownership(folder, "mine").release())
        assert error is None or name in error.message
        assert (tmp_path / "thesis.tex").read_text() == "mine"

    def test_a_pipe_for_a_lock_is_not_waited_for(self, folder: OpenFolder) -> None:
        os.mkfifo(folder.path / OWN_FOLDER / "lock")
        assert not is_locked(folder.path)
        with pytest.raises(OutputError, match="lock"):
            Ownership(folder, "mine")


class TestWithoutLocks:
    @pytest.fixture(autouse=True, params=[errno.ENOLCK, errno.EOPNOTSUPP])
    def no_locks(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with in_place(NoLocks(request.param)):
            yield

    @pytest.fixture
    def dead(self) -> Owner:
        """A process of this machine that has ended."""
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            process.wait()
        return replace(Owner.me("theirs"), pid=process.pid, token="t")

    def test_a_new_folder(self, folder: OpenFolder) -> None:
        ownership = Ownership(folder, "mine")
        assert is_locked(folder.path)
        assert not ownership.is_lost()
        ownership.release()
        assert not is_locked(folder.path)
        Ownership(folder, "mine").release()  # this very process may go on later

    def test_a_forked_child_does_not_give_it_away(self, folder: OpenFolder) -> None:
        ownership = Ownership(folder, "mine")
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert not ownership.is_lost()
        ownership.release()

    def test_what_was_taken_over_is_not_given_away(self, folder: OpenFolder) -> None:
        first = Ownership(folder, "mine")
        second = Ownership(folder, "mine", take_over=True)
        first.release()
        assert not second.is_lost()
        second.release()

    def test_a_dead_process_of_this_machine(self, folder: OpenFolder, dead: Owner) -> None:
        _note(folder, dead)
        assert not is_locked(folder.path)
        ownership = Ownership(folder, "mine")
        assert read_owner(folder.path) == ownership.owner

    def test_a_living_one(self, folder: OpenFolder) -> None:
        owner = replace(Owner.me("theirs"), token="t")
        _note(folder, owner)
        assert is_locked(folder.path)
        with pytest.raises(RunningError, match=f"running as pid {os.getpid()} on"):
            Ownership(folder, "mine")
        assert read_owner(folder.path) == owner

    @pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc")
    def test_another_process_has_its_number_by_now(self, folder: OpenFolder) -> None:
        _note(folder, replace(Owner.me("theirs"), process_began="another boot+17", token="t"))
        assert not is_locked(folder.path)
        Ownership(folder, "mine").release()

    def test_another_machine_is_never_taken_for_dead(self, folder: OpenFolder, dead: Owner) -> None:
        owner = replace(dead, host="another-machine")
        _note(folder, owner)
        assert is_locked(folder.path)
        with pytest.raises(RunningError, match="another-machine") as refused:
            Ownership(folder, "mine")
        assert "--take-over" in str(refused.value.hint)
        assert read_owner(folder.path) == owner
        ownership = Ownership(folder, "mine", take_over=True)
        assert read_owner(folder.path) == ownership.owner

    def test_who_was_taken_over_notices(self, folder: OpenFolder) -> None:
        first = Ownership(folder, "mine")
        second = Ownership(folder, "mine", take_over=True)
        assert first.is_lost()
        assert not second.is_lost()

    def test_a_note_that_says_nothing_may_be_of_one_that_just_comes(self, folder: OpenFolder) -> None:
        (folder.path / OWN_FOLDER / "owner.json").write_text("")
        with pytest.raises(OutputError):
            Ownership(folder, "mine")
        Ownership(folder, "mine", take_over=True).release()


def test_a_lock_that_fails_otherwise_is_no_lock(folder: OpenFolder) -> None:
    with in_place(NoLocks(errno.EIO)), pytest.raises(OutputError, match="Input/output error"):
        Ownership(folder, "mine")


def test_the_note_says_who_it_is() -> None:
    owner = replace(Owner.me("x"), pid=4711, host="atlas", since="nonsense")
    assert str(owner) == "pid 4711 on atlas since nonsense"
    assert "since 20" in str(Owner.me("x"))


def test_names_of_merges() -> None:
    names = {new_run_id() for _ in range(100)}
    assert len(names) == 100
    assert all(map(is_run_id, names))
    for text in ("", "..", "a/b", "a b", "-a", "x" * 65, "a\n", "é"):
        assert not is_run_id(text)


def test_who_lives() -> None:
    assert is_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert not is_alive(process.pid)
