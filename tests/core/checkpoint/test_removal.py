"""What is removed is ours, name by name, and nothing that lies beside it or behind a link."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from disk_faults import Faulty, in_place
from small_merges import error_of

from core.checkpoint.journal import Journal
from core.checkpoint.listed_files import FileRecord
from core.checkpoint.output import discard
from core.checkpoint.ownership import OWN_FOLDER
from core.checkpoint.record_file import RECORD_NAME, record_bytes
from core.checkpoint.removal import remove_output, remove_own_folder, replaceable
from core.checkpoint.staging import JOURNAL_NAME, output_names
from core.disk import OpenFolder
from core.errors import OutputError

FILES = ("config.json", "model.safetensors", "additional_chat_templates/tools.jinja")


def make_output(folder: Path, run_id: str = "20250131T140300-0123abcd", text: str = "one") -> Path:
    """An output with FILES and a record that lists them."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    head = {"schema_version": 2, "run_id": run_id, "started": None, "record_digest": None}
    head |= {"files": [FileRecord(name, len(text), "0" * 32).data() for name in FILES]}
    head |= {"recipe": {}, "inputs": [], "software": {}, "device": "cpu", "seconds": 1.0, "bytes_read": 0}
    (folder / RECORD_NAME).write_bytes(record_bytes(head, []))
    return folder


def make_staging(
    folder: Path, names: tuple[str, ...] = FILES, run_id: str = "20250131T140300-0123abcd"
) -> Path:
    """A staging folder with FILES and a journal that names `names`."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / OWN_FOLDER).mkdir()
    with OpenFolder(folder) as opened:
        Journal(opened, JOURNAL_NAME, [{"run_id": run_id, "names": list(names)}]).close()
    return folder


class TestReplaceable:
    def test_what_the_record_lists(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        assert replaceable(out) == sorted([*FILES, RECORD_NAME])
        for name in (".DS_Store", ".gitattributes", ".cache/huggingface/x"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text("")
        assert replaceable(out) == sorted([*FILES, RECORD_NAME])

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        assert replaceable(tmp_path / "out") == []

    @pytest.mark.parametrize(
        "name",
        ["thesis.tex", "notes/thesis.tex", ".git/HEAD", ".gitignore", "additional_chat_templates/mine"],
    )
    def test_something_else_is_named(self, tmp_path: Path, name: str) -> None:
        out = make_output(tmp_path / "out")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
        named = ".git" if name == ".git/HEAD" else name
        with pytest.raises(OutputError, match=f"holds '?{named}'?, which the merge did not write"):
            replaceable(out)

    def test_many(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        for number in range(10):
            (out / f"{number}.tex").write_text("mine")
        with pytest.raises(OutputError, match=r"0\.tex.*1\.tex.*2\.tex.* and 7 more, which"):
            replaceable(out)

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_a_link_in_the_place_of_a_folder(self, tmp_path: Path, kind: str) -> None:
        out = make_output(tmp_path / "out")
        (out / "additional_chat_templates" / "tools.jinja").unlink()
        (out / "additional_chat_templates").rmdir()
        (tmp_path / "mine").mkdir()
        (out / "additional_chat_templates").symlink_to(tmp_path / "mine")
        with pytest.raises(OutputError, match="additional_chat_templates"):
            replaceable(out)

    @pytest.mark.parametrize(
        "record", ["", "{}", "[]", "one", '{"schema_version": 2}', '{"schema_version": 99}']
    )
    def test_a_record_that_is_none(self, tmp_path: Path, record: str) -> None:
        out = make_output(tmp_path / "out")
        (out / RECORD_NAME).write_text(record)
        with pytest.raises(OutputError, match=RECORD_NAME):
            replaceable(out)

    @pytest.mark.parametrize("name", ["../thesis.tex", "/etc/passwd", "a/../../b", ".git/HEAD", "", "."])
    def test_a_record_that_lists_what_is_outside(self, tmp_path: Path, name: str) -> None:
        out = make_output(tmp_path / "out")
        record = json.loads((out / RECORD_NAME).read_text())
        record["files"].append({"name": name, "size": 1, "digest": "0" * 32})
        (out / RECORD_NAME).write_text(json.dumps(record))
        with pytest.raises(OutputError):
            replaceable(out)


class TestRemoving:
    def test_all_of_an_output(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        (out / ".DS_Store").write_text("")
        (out / ".cache" / "huggingface" / "download").mkdir(parents=True)
        (out / ".cache" / "huggingface" / "download" / "x").write_text("")
        assert remove_output(out, replaceable(out)) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_link_to_an_output(self, tmp_path: Path) -> None:
        make_output(tmp_path / "target")
        (tmp_path / "out").symlink_to("target")
        assert remove_output(tmp_path / "out", FILES) == []
        assert (tmp_path / "target" / "config.json").exists()
        assert not (tmp_path / "out").is_symlink()

    def test_what_is_not_ours_stays_with_the_record(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        (out / "thesis.tex").write_text("mine")
        assert remove_output(out, [*FILES, RECORD_NAME]) == ["thesis.tex"]
        assert sorted(path.name for path in out.iterdir()) == [RECORD_NAME, "thesis.tex"]

    def test_what_is_in_a_folder_of_ours(self, tmp_path: Path) -> None:
        out = make_output(tmp_path / "out")
        (out / "additional_chat_templates" / "mine").write_text("mine")
        assert remove_output(out, [*FILES, RECORD_NAME]) == ["additional_chat_templates"]
        assert (out / "additional_chat_templates" / "mine").read_text() == "mine"

    def test_not_behind_a_link(self, tmp_path: Path) -> None:
        """A folder of the output is a link by now: what it leads to is somebody's."""
        out = make_output(tmp_path / "out")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "tools.jinja").write_text("mine")
        (out / "additional_chat_templates" / "tools.jinja").unlink()
        (out / "additional_chat_templates").rmdir()
        (out / "additional_chat_templates").symlink_to(tmp_path / "mine")
        assert remove_output(out, [*FILES, RECORD_NAME]) == ["additional_chat_templates"]
        assert (tmp_path / "mine" / "tools.jinja").read_text() == "mine"

    @pytest.mark.parametrize("kind", ["EIO", "torn", "gone"])
    def test_one_that_fails_can_be_finished(self, tmp_path: Path, kind: str) -> None:
        """What says which files are ours goes last."""
        system = Faulty(-1, kind)
        with in_place(system):
            remove_output(make_output(tmp_path / "out"), [*FILES, RECORD_NAME])
        for at in range(len(system.calls)):
            out = make_output(tmp_path / "out")
            with in_place(Faulty(at, kind)):
                error = error_of(remove_output, out, [*FILES, RECORD_NAME])
            assert error is None or str(out) in error.message
            if out.exists():
                assert remove_output(out, replaceable(out) or [RECORD_NAME]) == [], at
            assert not out.exists()

    def test_the_own_folder(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path / "out.partial")
        with OpenFolder(staging) as folder:
            remove_own_folder(folder)
            remove_own_folder(folder)
        assert not (staging / OWN_FOLDER).exists()
        assert (staging / "config.json").exists()

    def test_an_own_folder_that_is_a_link(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path / "out.partial")
        (staging / OWN_FOLDER).rename(tmp_path / "mine")
        (staging / OWN_FOLDER).symlink_to(tmp_path / "mine")
        with OpenFolder(staging) as folder, pytest.raises(OutputError):
            remove_own_folder(folder)
        assert (tmp_path / "mine" / "journal").exists()


class TestDiscarding:
    def test_all_of_it(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path / "out.partial")
        left = discard(staging)
        assert left.path == staging
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "name", ["../thesis.tex", "config.json/../../thesis.tex", "./../thesis.tex", "{folder}/thesis.tex"]
    )
    def test_a_journal_that_names_what_is_outside(self, tmp_path: Path, name: str) -> None:
        """Anybody can make a checksum."""
        (tmp_path / "thesis.tex").write_text("mine")
        staging = make_staging(tmp_path / "out.partial", (*FILES, name.format(folder=tmp_path)))
        error = error_of(discard, staging)
        assert error is None or str(staging) in error.message
        assert (tmp_path / "thesis.tex").read_text() == "mine"

    def test_not_behind_a_link(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path / "out.partial")
        (tmp_path / "mine").mkdir()
        (staging / "additional_chat_templates" / "tools.jinja").rename(tmp_path / "mine" / "tools.jinja")
        (staging / "additional_chat_templates").rmdir()
        (staging / "additional_chat_templates").symlink_to(tmp_path / "mine")
        with pytest.raises(OutputError, match="additional_chat_templates"):
            discard(staging)
        assert (tmp_path / "mine" / "tools.jinja").exists()

    def test_a_file_that_no_merge_made(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path / "out.partial")
        (staging / "thesis.tex").write_text("mine")
        with pytest.raises(OutputError, match=r"holds '?thesis.tex'?, which no merge made"):
            discard(staging)
        assert all((staging / name).exists() for name in (*FILES, "thesis.tex"))

    def test_what_a_desktop_left_there(self, tmp_path: Path) -> None:
        """Somebody looked into it."""
        staging = make_staging(tmp_path / "out.partial")
        (staging / ".DS_Store").write_text("")
        discard(staging)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kind", ["EIO", "torn", "gone"])
    def test_one_that_fails_can_be_finished(self, tmp_path: Path, kind: str) -> None:
        system = Faulty(-1, kind)
        with in_place(system):
            discard(make_staging(tmp_path / "out.partial"))
        for at in range(len(system.calls)):
            staging = make_staging(tmp_path / "out.partial")
            with in_place(Faulty(at, kind)):
                error = error_of(discard, staging)
            assert error is None or str(staging) in error.message
            if staging.exists():
                discard(staging)
            assert not staging.exists(), at

    @pytest.mark.parametrize("kind", ["EIO", "gone"])
    def test_one_with_a_record_can_be_finished(self, tmp_path: Path, kind: str) -> None:
        """Of a merge that was done, and could not have its name."""
        system = Faulty(-1, kind)
        for at in range(-1, 100):
            staging = make_staging(tmp_path / "out.partial")
            (staging / RECORD_NAME).write_text("{}")
            with in_place(system if at < 0 else Faulty(at, kind)):
                error_of(discard, staging)
            if staging.exists():
                discard(staging)
            assert not staging.exists(), at
            if at == len(system.calls):
                break

    @pytest.mark.parametrize("name", ["out", "out.partial", "x.partial/y", "out.old-1"])
    def test_what_is_none(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out.old-1").mkdir()
        with pytest.raises(OutputError):
            discard(tmp_path / name)
        assert (tmp_path / "out").exists()

    def test_a_link_to_one(self, tmp_path: Path) -> None:
        make_staging(tmp_path / "elsewhere")
        (tmp_path / "out.partial").symlink_to("elsewhere")
        with pytest.raises(OutputError):
            discard(tmp_path / "out.partial")
        assert (tmp_path / "elsewhere" / "config.json").exists()


def test_names_of_a_journal() -> None:
    assert output_names([]) == []
    assert output_names([{}]) == []
    assert output_names([{"names": 3}]) == []
    assert output_names([{"names": ["a", 3, None, "b/c", "../d", "/e", "", ".git/x", "f\0g"]}]) == [
        "a",
        "b/c",
    ]
