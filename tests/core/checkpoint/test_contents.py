"""What of a folder is ours: the record's listing, by-products, and all the rest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint.contents import Found, Listing, files_in, is_by_product, read_listing, unlisted
from core.errors import OutputError

RECORDS = Path(__file__).parents[2] / "data" / "version-0.1" / "records"

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and odd names of POSIX systems")


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def listing(*names: str) -> Listing:
    return Listing(2, "id", frozenset(["paramosaic.json", *names]))


@posix
def test_everything_is_named_and_no_link_followed(tmp_path: Path) -> None:
    put(tmp_path, "b/c/d", "a", ".git/HEAD")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    assert files_in(tmp_path) == [
        Found(".git", "folder"),
        Found("a", "file"),
        Found("b", "folder"),
        Found("b/c", "folder"),
        Found("b/c/d", "file"),
        Found("b/loop", "link"),
        Found("nowhere", "link"),
        Found("pipe", "special"),
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot read the folder"):
        files_in(tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (".gitattributes", True),
        (".cache/huggingface/download/config.json.metadata", True),
        (".cache/huggingface/.gitignore", True),
        (".DS_Store", True),
        ("pictures/.DS_Store", True),
        ("Thumbs.db", True),
        ("desktop.ini", True),
        (".paramosaic/journal", True),
        ("a/.gitattributes", False),
        (".cache/other", False),
        (".cache/huggingface", False),
        (".git/HEAD", False),
        (".gitignore", False),
        ("modeling_evil.py", False),
        ("DS_Store", False),
        ("x/.paramosaic/journal", False),
    ],
)
def test_by_products(name: str, is_one: bool) -> None:
    assert is_by_product(name) == is_one


@posix
def test_what_is_unlisted(tmp_path: Path) -> None:
    ours = ["model.safetensors", "README.md", "pictures/a.png"]
    put(tmp_path, "paramosaic.json", *ours, ".gitattributes", ".cache/huggingface/x", ".paramosaic/lock")
    (tmp_path / "empty" / "folders").mkdir(parents=True)
    assert unlisted(tmp_path, listing(*ours)) == []
    put(tmp_path, "thesis.tex", "pictures/b.png", ".git/HEAD")
    (tmp_path / ".DS_Store").symlink_to("/etc/hosts")
    (tmp_path / "empty" / "link").symlink_to("folders")
    os.mkfifo(tmp_path / "Thumbs.db")
    assert unlisted(tmp_path, listing(*ours)) == [
        ".DS_Store",
        ".git",
        "Thumbs.db",
        "empty/link",
        "pictures/b.png",
        "thesis.tex",
    ]


@posix
def test_names_that_are_no_text_are_unlisted(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.bin")).touch()
    except OSError:
        pytest.skip("the file system refuses such names")
    assert unlisted(tmp_path, listing()) == [os.fsdecode(b"\xff.bin")]


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        {"schema_version": 2},
        {"schema_version": 1, "tensors": []},
        {
            "recipe": {},
            "inputs": [],
            "software": {},
            "device": "",
            "seconds": 1,
            "bytes_read": 1,
            "tensors": [],
        },
        {"name": "somebody's own", "version": 2, "tensors": []},
    ],
    ids=str,
)
def test_a_json_file_of_that_name_is_not_our_record(tmp_path: Path, data: Any) -> None:
    (tmp_path / "paramosaic.json").write_text(json.dumps(data))
    with pytest.raises(OutputError, match="is not a run record"):
        read_listing(tmp_path)


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no run record"):
        read_listing(tmp_path)


VERSION_1 = [
    "README.md", "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model.v3",
    "qwen.tiktoken", "chat_template.jinja", "additional_chat_templates/tools.jinja",
    "pictures/zero-deltas.png",
]  # fmt: skip


class TestSchema1:
    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        shutil.copy(RECORDS / "rules" / "paramosaic.json", tmp_path)
        put(tmp_path, *VERSION_1)
        (tmp_path / "config.json").write_text("{}")
        return tmp_path

    def test_one_shard(self, out: Path) -> None:
        put(out, "model.safetensors")
        found = read_listing(out)
        assert (found.schema, found.run_id) == (1, None)
        assert found.files == {"paramosaic.json", "model.safetensors", *VERSION_1}
        assert unlisted(out, found) == []

    def test_several_shards_are_those_of_the_index(self, out: Path) -> None:
        shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        put(out, *shards, "model-00001-of-00007.safetensors", "thesis.tex")
        index = {"weight_map": {"a": shards[0], "b": shards[1], "c": "thesis.tex", "d": 5}}
        (out / "model.safetensors.index.json").write_text(json.dumps(index))
        assert unlisted(out, read_listing(out)) == ["model-00001-of-00007.safetensors", "thesis.tex"]

    def test_what_it_did_not_write(self, out: Path) -> None:
        put(out, "thesis.tex", "pictures/cat.png", "sub/config.json", "a/b.tiktoken", "modeling_x.py")
        assert unlisted(out, read_listing(out)) == [
            "a/b.tiktoken",
            "modeling_x.py",
            "pictures/cat.png",
            "sub/config.json",
            "thesis.tex",
        ]
        (out / "config.json").write_text('{"auto_map": {}}')
        assert "modeling_x.py" not in unlisted(out, read_listing(out))
