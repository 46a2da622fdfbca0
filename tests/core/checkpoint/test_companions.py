"""What is copied beside the weights: the model's own files, piece by piece, without paths of this machine."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint.companions import Companion, Givers, companion_files
from core.errors import CheckpointError

CONFIG = {"model_type": "llama", "vocab_size": 8}
SECRET = "the user's own"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a config, beside a file that is nobody's business."""
    (tmp_path / "secret").write_text(SECRET)
    folder = tmp_path / "models" / "a"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    found = companion_files(Givers((folder,)), vocabulary=None, dtype_name="bfloat16", inputs=[folder]).files
    contents = {name: b"".join(companion.chunks()) for name, companion in found.items()}
    assert all(len(contents[name]) == companion.size_bytes for name, companion in found.items())
    return contents


class TestLinks:
    @pytest.mark.parametrize(
        "name", ["tokenizer.model", "config.json", "chat_template.jinja", "additional_chat_templates/x.jinja"]
    )
    def test_to_another_place(self, folder: Path, name: str) -> None:
        target = folder.parent.parent / "secret"
        target.write_text(json.dumps(CONFIG))
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        with pytest.raises(CheckpointError, match=f"{name} is a link to {target}, which lies outside"):
            _files(folder)

    def test_code_of_a_model(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**CONFIG, "auto_map": {"AutoModel": "modeling_x.X"}}))
        (folder / "modeling_x.py").symlink_to("../../secret")
        with pytest.raises(CheckpointError, match=r"modeling_x\.py is a link to"):
            _files(folder)

    def test_a_folder_of_templates_elsewhere(self, folder: Path) -> None:
        (folder / "additional_chat_templates").symlink_to(folder.parent.parent)
        with pytest.raises(CheckpointError, match="outside the model's folder"):
            _files(folder)

    def test_within_the_folder_and_through_a_link_to_it(self, folder: Path, tmp_path: Path) -> None:
        (folder / "original").mkdir()
        (folder / "original" / "t").write_text("tokens")
        (folder / "tokenizer.model").symlink_to("original/t")
        (tmp_path / "link").symlink_to(folder)
        assert _files(tmp_path / "link")["tokenizer.model"] == b"tokens"

    def _cached(self, folder: Path, target: str) -> Path:
        snapshot = folder.parent / "models--org--name" / "snapshots" / "0123"
        snapshot.mkdir(parents=True)
        blobs = snapshot.parent.parent / "blobs"
        blobs.mkdir()
        (blobs / "abc").write_text("tokens")
        (snapshot / "config.json").write_text(json.dumps(CONFIG))
        (snapshot / "tokenizer.model").symlink_to(target)
        return snapshot

    def test_into_the_blobs_of_the_hub_cache(self, folder: Path, tmp_path: Path) -> None:
        snapshot = self._cached(folder, "../../blobs/abc")
        (tmp_path / "link").symlink_to(snapshot)
        for place in (snapshot, tmp_path / "link"):
            assert _files(place)["tokenizer.model"] == b"tokens"

    @pytest.mark.parametrize(
        "target", ["../../refs", "../../../../secret", "../../../models--b--c/blobs/abc"]
    )
    def test_from_the_hub_cache_to_another_place(self, folder: Path, target: str) -> None:
        other = folder.parent / "models--b--c" / "blobs"
        other.mkdir(parents=True)
        (other / "abc").write_text(SECRET)
        (folder.parent / "models--org--name").mkdir()
        (folder.parent / "models--org--name" / "refs").write_text(SECRET)
        with pytest.raises(CheckpointError, match="outside the model's folder"):
            _files(self._cached(folder, target))

    def test_blobs_that_are_a_link_themselves(self, folder: Path) -> None:
        snapshot = self._cached(folder, "../../blobs/secret")
        blobs = snapshot.parent.parent / "blobs"
        (blobs / "abc").unlink()
        blobs.rmdir()
        blobs.symlink_to(folder.parent.parent)
        with pytest.raises(CheckpointError, match="outside the model's folder"):
            _files(snapshot)

    def test_into_git_annex(self, folder: Path) -> None:
        key = folder.parent / ".git" / "annex" / "objects" / "Xx" / "KEY"
        key.mkdir(parents=True)
        (key / "KEY").write_text("tokens")
        (folder / "tokenizer.model").symlink_to("../.git/annex/objects/Xx/KEY/KEY")
        assert _files(folder)["tokenizer.model"] == b"tokens"

    def test_a_git_annex_that_is_a_link(self, folder: Path) -> None:
        """Which a folder that was downloaded may bring along."""
        (folder / ".git" / "annex").mkdir(parents=True)
        (folder / ".git" / "annex" / "objects").symlink_to(folder.parent.parent)
        (folder / "tokenizer.model").symlink_to(".git/annex/objects/secret")
        with pytest.raises(CheckpointError, match="outside the model's folder"):
            _files(folder)

    def test_a_repository_that_is_a_link(self, folder: Path) -> None:
        objects = folder.parent.parent / "other" / "annex" / "objects"
        objects.mkdir(parents=True)
        (objects / "KEY").write_text(SECRET)
        (folder / ".git").symlink_to("../../other")
        (folder / "tokenizer.model").symlink_to(".git/annex/objects/KEY")
        with pytest.raises(CheckpointError, match="outside the model's folder"):
            _files(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "generation_config.json", "chat_template.x"]
)
@pytest.mark.parametrize("kind", ["nowhere", "circle", "pipe", "folder", "device"])
def test_what_has_a_name_and_is_no_file(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], None]] = {
        "nowhere": lambda: path.symlink_to("gone"),
        "circle": lambda: path.symlink_to(name),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()
    if kind == "nowhere" and name != "config.json":  # which is warned of, and left out
        assert name not in _files(folder)
        return
    with pytest.raises(CheckpointError, match=f"{path}"):
        _files(folder)


class TestCopies:
    def test_a_large_file_is_not_held_in_memory(self, folder: Path) -> None:
        (folder / "tokenizer.model").write_bytes(b"x" * 50_000_000)
        found = companion_files(Givers((folder,)), vocabulary=None, dtype_name="bfloat16", inputs=[]).files
        tracemalloc.start()
        assert sum(len(piece) for piece in found["tokenizer.model"].chunks()) == 50_000_000
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 5_000_000

    @pytest.mark.parametrize("change", ["longer", "shorter", "as long", "another file", "gone"])
    def test_a_file_that_changes_before_it_is_copied(self, folder: Path, change: str) -> None:
        path = folder / "tokenizer.model"
        path.write_bytes(b"x" * 3_000_000)
        companion = Companion.of_file(path)
        if change == "gone":
            path.unlink()
        elif change == "another file":
            (folder / "new").write_bytes(b"x" * 3_000_000)
            os.utime(folder / "new", ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
            (folder / "new").replace(path)
        else:
            path.write_bytes(b"y" * {"longer": 3_000_001, "shorter": 9, "as long": 3_000_000}[change])
        with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
            list(companion.chunks())

    def test_a_file_of_forty_gigabytes(self, folder: Path) -> None:
        with (folder / "tokenizer.json").open("wb") as file:
            file.truncate(40_000_000_000)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json has 40,000,000,000 bytes"):
            _files(folder)

    def test_a_folder_of_thousands_of_files(self, folder: Path) -> None:
        for number in range(1_001):
            (folder / f"chat_template.{number}").touch()
        with pytest.raises(CheckpointError, match="has 1,001 files that would be copied"):
            _files(folder)


# -- paths of this machine

PATHS = [
    "/x",
    "/home/alice/models/a",
    "see /home/alice/models/a for more",
    "trained from (/data/models/a)",
    "--base=/data/models/a",
    "`/mnt/a`",
    "in /home",
    "<path>/home/alice",
    "file:///home/alice/a",
    "FILE:/a/b",
    "~alice/models",
    "~/models",
    "~alice",
    "copied to ~alice-b/x",
    "C:\\Users\\alice",
    "at D:/models/a",
    "|C:\\a",
    "\\\\server\\share\\a",
    "\\\\?\\C:\\a",
    "on //server/share/a",
    "host:/home/alice/a",
    "路径/home/alice/a",
]
HARMLESS = [
    "org/name",
    "https://huggingface.co/org/name/resolve/main",
    "<a></a><b></b>",
    "and/or",
    "./x/y",
    "../x/y",
    "a / b",
    "/",
    "~",
    "12:30",
    "image/png; q=1",
    "是/否/未知",
    "say /think or /no_think",
]


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("path", PATHS)
def test_paths_go(folder: Path, name: str, path: str) -> None:
    value: dict[str, Any] = {
        **CONFIG,
        "torch_dtype": "bfloat16",
        "nested": {"deeper": [{"is": path, "kept": 1}, path, 2]},
        "by_key": {path: 1, "kept": 2},
        "is": path,
    }
    (folder / name).write_text(json.dumps(value))
    expected = {**value, "nested": {"deeper": [{"kept": 1}, 2]}, "by_key": {"kept": 2}}
    del expected["is"]
    assert json.loads(_files(folder)[name]) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(folder: Path, text: str) -> None:
    (folder / "processor_config.json").write_text(json.dumps({"a": text, text: [text]}))
    assert _files(folder)["processor_config.json"] == (folder / "processor_config.json").read_bytes()


def test_labels_tokens_and_templates_stay(folder: Path) -> None:
    kept = {
        "id2label": {"0": "/m/09x0r", "1": "/home/alice"},
        "label2id": {"/m/09x0r": 0, "/home/alice": 1},
        "pad_token": "/home/alice/x",
        "extra_special_tokens": {"image_token": "/home/alice/x"},
        "additional_special_tokens": ["/home/alice/x", {"content": "/home/alice/x", "lstrip": False}],
        "added_tokens_decoder": {"0": {"content": "/home/alice/x", "special": True}},
        "chat_template": "{{ '/home/alice/x' }}",
    }
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_text(json.dumps(kept))
        assert _files(folder)[name] == (folder / name).read_bytes()
        changed = {
            **kept,
            "eos_token": {"content": "/s", "from": "/home/alice/x"},
            "name_or_path": "/home/alice",
        }
        (folder / name).write_text(json.dumps(changed))
        assert json.loads(_files(folder)[name]) == {**kept, "eos_token": {"content": "/s"}}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **kept}))
    written = json.loads(_files(folder)["config.json"])
    assert {key: written[key] for key in kept} == kept


VOCABULARY = b'{ "/home/alice/x":0,"a\\"]}":1 , "\xf0\x9f\x98\x80":2,  "vocab":3}'
MERGES = b'[ ["/home/alice","/x"], "/home/alice /x" ,["]", "\\\\"]]'
ADDED = b'[{"id":0,"content":"/home/alice/x","special":true}]'


def _tokenizer(*, extra: bytes = b"", model: bytes = b"") -> bytes:
    return (
        b'{"version":"1.0","added_tokens":' + ADDED + b',"pre_tokenizer":{"type":"Split","pattern":{"Regex":'
        b'"/home/alice/x"}},"decoder":{"content":"/home/alice/x/y"},"model":{"type":"BPE",'
        + model
        + b'"vocab":'
        b"" + VOCABULARY + b',"merges":' + MERGES + b"}" + extra + b"}"
    )


def test_a_tokenizer_without_paths_is_passed_byte_for_byte(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(_tokenizer())
    assert _files(folder)["tokenizer.json"] == _tokenizer()


@pytest.mark.parametrize("path", PATHS)
def test_paths_in_a_tokenizer_go_and_what_it_is_made_of_stays(folder: Path, path: str) -> None:
    said = json.dumps({"from": [{"name_or_path": path}], path: 1})[1:-1].encode()
    (folder / "tokenizer.json").write_bytes(_tokenizer(extra=b"," + said, model=said + b","))
    written = _files(folder)["tokenizer.json"]
    for kept in (VOCABULARY, MERGES, ADDED):
        assert kept in written
    expected = json.loads(_tokenizer())
    expected["from"] = expected["model"]["from"] = [{}]
    assert json.loads(written) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"vocab":{',
        b'{"a":"/x"} x',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
    ],
)
def test_a_tokenizer_that_is_not_whole_is_said_and_left(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    found = companion_files(
        Givers((folder,), None, None, {folder: "a"}), vocabulary=None, dtype_name="bfloat16", inputs=[folder]
    )
    assert "tokenizer.json" not in found.files
    assert any("tokenizer.json" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "content", [b'{"vocab":[[[]]]}', b"[" * 5000 + b"]", b"\xff", b'{"a":"/x"} {}', b"null"]
)
def test_a_tokenizer_that_is_none_is_passed_as_it_is(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    assert _files(folder)["tokenizer.json"] == content


def test_base64_is_no_path(folder: Path) -> None:
    tekken = json.dumps(
        {"config": {"from": "/home/a"}, "vocab": [{"rank": 0, "token_bytes": "/A==", "token_str": "/x"}]}
    )
    (folder / "tekken.json").write_text(tekken)
    written = json.loads(_files(folder)["tekken.json"])
    assert written == {"config": {}, "vocab": [{"rank": 0, "token_bytes": "/A==", "token_str": "/x"}]}
