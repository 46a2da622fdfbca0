"""The log: where it is, what is in it, and that it is never in the way."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import core.log
from core.cli.commands import main
from core.cli.desktop import Desktop
from core.log import LOG_NAME, Log, log_folder

CORE = logging.getLogger("core")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ (INFO|DEBUG|ERROR) +(core|gui)[.\w]*: \S.*")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program's own data, and so its log, are here."""
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "log"


def run(*arguments: object, desktop: Desktop | None = None) -> int:
    nothing = Desktop(lambda: False, lambda demo: 0, lambda record, folder: [])
    return main(desktop or nothing, [str(argument) for argument in arguments])


def lines(folder: Path) -> list[str]:
    return (folder / LOG_NAME).read_text().splitlines()


class TestTheFile:
    def test_it_is_made_by_the_first_record(self, tmp_path: Path) -> None:
        with Log(tmp_path / "new" / "log"):
            assert not list(tmp_path.iterdir())
            logging.getLogger("core.run.merge").info("begun")
            logging.getLogger("gui.window").info("shown")
            logging.getLogger("core.plan").debug("a detail")
            logging.getLogger("elsewhere").warning("not ours")
        said = lines(tmp_path / "new" / "log")
        assert [line.split(": ", 1)[1] for line in said] == ["begun", "shown"]
        assert all(LINE.fullmatch(line) for line in said)

    def test_afterwards_all_is_as_before(self, tmp_path: Path) -> None:
        before = CORE.level, list(CORE.handlers)
        with Log(tmp_path) as log:
            log.show(2)
            assert CORE.level == logging.DEBUG
        assert (CORE.level, CORE.handlers) == before
        CORE.info("nobody hears it")
        assert not list(tmp_path.iterdir())

    def test_it_stays_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(core.log, "_FILE_BYTES", 1000)
        with Log(tmp_path):
            for number in range(100):
                CORE.info("record %d", number)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            LOG_NAME,
            f"{LOG_NAME}.1",
            f"{LOG_NAME}.2",
        ]
        assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
        assert lines(tmp_path)[-1].endswith("record 99")

    def test_lines_are_bounded_and_show_what_is_unseen(self, tmp_path: Path) -> None:
        with Log(tmp_path):
            CORE.info("of %s", "x" * 10**6)
            try:
                raise ValueError("\u202e\u2066" * 10**5)
            except ValueError:
                CORE.exception("failed")
        text = (tmp_path / LOG_NAME).read_text()
        assert text.isascii() or set(text) - set("…") <= set(map(chr, range(128)))
        assert max(map(len, text.splitlines())) <= 2000

    @pytest.mark.parametrize("obstacle", ["a file", "not allowed", "full"])
    def test_a_folder_that_cannot_be_written_is_no_matter(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        obstacle: str,
    ) -> None:
        if obstacle == "a file":
            (tmp_path / "log").write_text("")

        def fails(*arguments: object, **options: object) -> None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

        if obstacle == "not allowed":
            monkeypatch.setattr(Path, "mkdir", fails)
        if obstacle == "full":
            monkeypatch.setattr(core.log._File, "flush", fails)
        with Log(tmp_path / "log") as log:
            CORE.info("once")
            CORE.info("twice")
            log.show(1)
            CORE.info("seen")
            monkeypatch.undo()
        said = capsys.readouterr()
        assert said.out == ""
        assert [line.split(": ", 1)[1] for line in said.err.splitlines()] == ["seen"]

    def test_a_home_that_is_not_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown() -> Path:
            raise RuntimeError

        monkeypatch.setattr(core.log, "log_folder", unknown)
        with Log():
            CORE.info("nobody hears it")

    def test_nothing_steers_a_terminal_or_looks_like_a_line(self, tmp_path: Path) -> None:
        with Log(tmp_path):
            CORE.info("opened %s", "a\x1b[31m\nINFO core: forged\ud800")
            try:
                raise ValueError("bad\x1b[2J")
            except ValueError:
                CORE.exception("a fault")
        first, second, *trace = lines(tmp_path)
        assert first.endswith(r"opened a\x1b[31m\nINFO core: forged\ud800")
        assert second.endswith("a fault")
        assert trace[0].startswith("Traceback")
        assert trace[-1] == r"ValueError: bad\x1b[2J"

    @pytest.mark.parametrize(
        ("system", "variables", "place"),
        [
            ("linux", {}, "{home}/.local/state/paramosaic"),
            ("linux", {"XDG_STATE_HOME": "/state"}, "/state/paramosaic"),
            ("linux", {"XDG_STATE_HOME": "relative"}, "{home}/.local/state/paramosaic"),
            ("darwin", {}, "{home}/Library/Logs/Paramosaic"),
            ("win32", {"LOCALAPPDATA": "/local"}, "/local/Paramosaic/Logs"),
            ("linux", {"PARAMOSAIC_DATA_DIR": "/mine", "XDG_STATE_HOME": "/state"}, "/mine/log"),
        ],
    )
    def test_where_it_is(
        self,
        system: str,
        variables: dict[str, str],
        place: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("PARAMOSAIC_DATA_DIR", "XDG_STATE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": str(tmp_path), **variables}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(core.log, "sys", SimpleNamespace(platform=system))
        assert log_folder() == Path(place.format(home=tmp_path))


class TestTheCommands:
    def test_a_refusal_has_its_address(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("merge_method: linear\nmodels: [{model: a}, {model: b, parameters: {weight: x}}]\n")
        assert run("plan", recipe) == 1
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert said.out == ""
        asked, refused = lines(folder)
        assert re.search(r"INFO +core\.cli\.commands: paramosaic \d.*, Python 3.*: plan: recipe /", asked)
        assert "refused: " in refused
        assert refused.endswith(f"(RecipeError, field weight, entry 1, path {recipe})")

    @pytest.mark.parametrize("where", ["before", "after"])
    def test_verbose(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
    ) -> None:
        recipe = tmp_path / "gone.yaml"
        assert run(*(("-v", "plan") if where == "before" else ("plan", "-v")), recipe) == 1
        said = capsys.readouterr()
        assert said.out == ""
        *logged, error = said.err.splitlines()
        assert logged == lines(folder)
        assert error.startswith("error: cannot read the recipe")
        assert run("plan", recipe) == 1
        assert capsys.readouterr().err.splitlines() == [error]

    @pytest.mark.parametrize("arguments", [["--help"], ["merge", "--help"], ["--version"]])
    def test_help_writes_nothing(self, folder: Path, arguments: list[str]) -> None:
        assert run(*arguments) == 0
        assert not folder.parent.exists()

    def test_what_is_not_understood(self, folder: Path) -> None:
        assert run("merge", "recipe.yaml", "--foo") == 2
        assert "core.cli.commands: not understood: No such option" in lines(folder)[-1]

    def test_a_fault_of_ours(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def breaks(path: Path) -> None:
            raise ZeroDivisionError("ours")

        monkeypatch.setattr("core.cli.commands.load_recipe", breaks)
        with pytest.raises(ZeroDivisionError):
            run("plan", "recipe.yaml")
        said = lines(folder)
        assert re.search(r"ERROR +core\.cli\.commands: a fault of the program", said[1])
        assert said[2].startswith("Traceback")
        assert said[-1] == "ZeroDivisionError: ours"

    def test_the_window_does_not_fill_it_with_plans(self, folder: Path) -> None:
        def window(demo: bool) -> int:
            logging.getLogger("core.plan.planning").info("planned")
            logging.getLogger("core.run.merge").info("begun")
            return 3

        assert run(desktop=Desktop(lambda: True, window, lambda record, folder: [])) == 3
        assert [line.rsplit(": ", 1)[1] for line in lines(folder)] == ["the window", "begun"]
        assert logging.getLogger("core.plan").level == logging.NOTSET

    def test_without_stderr_nothing_goes_to_stdout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Log(tmp_path) as log:
            log.show(1)
            monkeypatch.setattr(sys, "stderr", None)
            CORE.info("as in a windowed program on Windows")
            monkeypatch.undo()
        assert capsys.readouterr().out == ""
