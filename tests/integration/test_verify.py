"""What `verify` finds: each damage, addition and loss, and nothing in a folder that is as it was written."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_records import change_record

from core import (
    Cancelled,
    CancelToken,
    VerificationError,
    load_recipe,
    plan_merge,
    read_record,
    run_merge,
    verify_output,
)
from core.run.output_files import add_files

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX systems")

TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}
SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture
def out(workshop: Any) -> Path:
    """An output of three shards, with an index, a tokenizer, a template and a picture."""
    recipe = workshop.trio()
    model = workshop.folder / "a"
    (model / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (model / "chat_template.jinja").write_text("{{ messages }}")
    (model / "generation_config.json").write_text('{"do_sample": true}\n')
    made: Path = workshop.folder / "out"
    run_merge(plan_merge(load_recipe(recipe), shard_size_bytes=2000), made)
    add_files(made, {"pictures/zero-deltas.png": b"\x89PNG"})
    return made


def test_the_record_lists_every_file(out: Path) -> None:
    there = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    listed = {file.name: file for file in read_record(out).files}
    assert {*listed, "paramosaic.json"} == set(there)
    assert all(file.size == there[name].stat().st_size for name, file in listed.items())
    assert {name for name, file in listed.items() if file.header_digest} == {
        name for name in there if name.endswith(".safetensors")
    }


def test_a_whole_output(workshop: Any, out: Path) -> None:
    result = workshop.run("verify", out)
    assert result.status == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1:4] == [
        "weights  3 tensors: as written",
        "files    that are loaded or run: as written",
        "card     README.md: as written",
    ]
    report = json.loads(workshop.run("verify", out, "--json").stdout)
    assert report["verdict"] == "as written"
    assert (report["weights"], report["files"], report["card"]) == ([], [], [])
    assert report["files_checked"] == len(list(out.rglob("*.*"))) - 1
    size = sum(path.stat().st_size for path in out.rglob("*.*") if path.suffix != ".safetensors")
    weights = sum(tensor.elements for tensor in read_record(out).tensors) * 2
    assert report["bytes_checked"] == size + weights - (out / "paramosaic.json").stat().st_size


# -- bit flips -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flips", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_bit_of_every_file_is_found(out: Path, flips: int) -> None:
    numbers = random.Random(20261127)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    assert len(files) == 11
    for path in files:
        whole = path.read_bytes()
        name = path.relative_to(out).as_posix()
        header = 8 * (8 + int.from_bytes(whole[:8], "little")) if path.suffix == ".safetensors" else 0
        for number in range(flips):
            bit = numbers.randrange(header if header and number % 2 else 8 * len(whole))
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            if name == "README.md":
                assert [one.what for one in verify_output(out).card] == ["changed"]
                continue
            with pytest.raises(VerificationError) as caught:
                verify_output(out)
            assert str(path) in caught.value.message, (name, bit)
            if name != "paramosaic.json":
                report = caught.value.report
                assert {one.name for one in (*report.weights, *report.files)} == {name}
        path.write_bytes(whole)
    assert not verify_output(out).card


def test_a_changed_header_is_found_whatever_the_file_says_of_its_age(out: Path) -> None:
    path = out / SHARD
    status = path.stat()
    verify_output(out)
    path.write_bytes(path.read_bytes().replace(b'"pt"', b'"xt"'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(VerificationError, match="its header differs"):
        verify_output(out)


# -- files that are lost, changed and added ------------------------------------------------------------------


def damaged_tensor(out: Path) -> None:
    data = bytearray((out / SHARD).read_bytes())
    data[-1] ^= 1
    (out / SHARD).write_bytes(data)


def other_header(out: Path) -> None:
    (out / SHARD).write_bytes((out / SHARD).read_bytes().replace(b'"pt"', b'"np"'))


def replaced_by_a_folder(out: Path) -> None:
    (out / "config.json").unlink()
    (out / "config.json").mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str, list[tuple[str, str]]]] = {
    "a deleted config": (lambda out: (out / "config.json").unlink(), "files", [("config.json", "missing")]),
    "a folder for the config": (replaced_by_a_folder, "files", [("config.json", "changed")]),
    "an emptied tokenizer": (
        lambda out: (out / "tokenizer.json").write_bytes(b""),
        "files",
        [("tokenizer.json", "changed")],
    ),
    "an edited template": (
        lambda out: (out / "chat_template.jinja").write_text("{{ massages }}"),
        "files",
        [("chat_template.jinja", "changed")],
    ),
    "added code": (
        lambda out: (out / "modeling_evil.py").write_text("import os"),
        "files",
        [("modeling_evil.py", "extra")],
    ),
    "an added adapter": (
        lambda out: [(out / "adapter_config.json").touch(), (out / "adapter_model.safetensors").touch()],
        "both",
        [("adapter_model.safetensors", "extra"), ("adapter_config.json", "extra")],
    ),
    "a file in a new folder": (
        lambda out: [(out / "sub").mkdir(), (out / "sub" / "tokenizer.json").touch()],
        "files",
        [("sub/tokenizer.json", "extra")],
    ),
    "code called as the card's folder": (
        lambda out: [
            (out / "README.md").unlink(),
            (out / "README.md").mkdir(),
            (out / "README.md" / "x.py").touch(),
        ],
        "files",
        [("README.md/x.py", "extra")],
    ),
    "a lost shard": (lambda out: (out / SHARD).unlink(), "weights", [(SHARD, "missing")]),
    "an added shard": (
        lambda out: shutil.copy(out / SHARD, out / "model.safetensors"),
        "weights",
        [("model.safetensors", "extra")],
    ),
    "another header": (other_header, "weights", [(SHARD, "changed")]),
    "a damaged tensor": (damaged_tensor, "weights", [(SHARD, "changed")]),
    "an edited index": (
        lambda out: (out / "model.safetensors.index.json").write_text("{}"),
        "weights",
        [("model.safetensors.index.json", "changed")],
    ),
    "several things at once": (
        lambda out: [
            (out / "config.json").unlink(),
            (out / SHARD).unlink(),
            (out / "x.py").touch(),
            (out / "pictures" / "zero-deltas.png").write_bytes(b""),
        ],
        "both",
        [
            (SHARD, "missing"),
            ("config.json", "missing"),
            ("pictures/zero-deltas.png", "changed"),
            ("x.py", "extra"),
        ],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_written(workshop: Any, out: Path, damage: str) -> None:
    change, part, expected = DAMAGES[damage]
    change(out)
    said, report = workshop.distrust(out)
    found = [(one["name"], one["what"]) for one in (*report["weights"], *report["files"])]
    assert found == expected
    assert part == "both" or report[part], report
    assert str(out / expected[0][0]) in said
    assert (f"; {len(expected) - 1} more finding" in said) == (len(expected) > 1)
    printed = workshop.run("verify", out).stdout
    assert all(name in printed for name, _ in expected)


def test_a_damaged_tensor_is_named(out: Path) -> None:
    damaged_tensor(out)
    with pytest.raises(VerificationError, match="its digest differs") as caught:
        verify_output(out)
    assert caught.value.tensor == "model.layers.0.mlp.up_proj.weight"
    assert caught.value.report.weights[0].tensor == caught.value.tensor


@posix
@pytest.mark.parametrize("target", ["/etc/hosts", "gone", "..", "config.json"])
def test_an_added_link(workshop: Any, out: Path, target: str) -> None:
    (out / "tokenizer.model").symlink_to(target)
    said, report = workshop.distrust(out)
    assert f"{out / 'tokenizer.model'} is a link and not in the run record" in said
    assert [(one["name"], one["what"]) for one in report["files"]] == [("tokenizer.model", "extra")]


@posix
@pytest.mark.parametrize("name", ["config.json", SHARD, "README.md", "paramosaic.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(out: Path, name: str) -> None:
    (out / name).unlink()
    os.mkfifo(out / name)
    if name == "README.md":
        assert [one.what for one in verify_output(out).card] == ["changed"]
        return
    with pytest.raises(VerificationError, match="is not a file"):
        verify_output(out)


@posix
def test_what_cannot_be_read_is_said_with_all_the_rest(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad_sector(*arguments: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", bad_sector)
    (out / "config.json").unlink()
    with pytest.raises(VerificationError) as caught:
        verify_output(out)
    found = (*caught.value.report.weights, *caught.value.report.files)
    assert [one.what for one in found] == ["changed", "changed", "changed", "missing"]
    assert "Input/output error" in caught.value.message


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_the_card_may_be_edited(workshop: Any, out: Path, change: str) -> None:
    if change == "edited":
        (out / "README.md").write_text("# Mine")
    else:
        (out / "README.md").unlink()
    result = workshop.run("verify", out)
    assert result.status == 0
    what = {"edited": "changed", "deleted": "missing"}[change]
    assert f"card     README.md: 1 {what}" in result.stdout
    assert "files    that are loaded or run: as written" in result.stdout
    assert f"{what}  README.md" in result.stdout


def test_the_record_of_another_run(workshop: Any, out: Path) -> None:
    other = workshop.folder / "other"
    recipe = workshop.recipe(extra="seed: 8\n", name="other.yaml")
    run_merge(plan_merge(load_recipe(recipe), shard_size_bytes=2000), other)
    shutil.copy(other / "paramosaic.json", out / "paramosaic.json")
    _, report = workshop.distrust(out)
    assert {one["tensor"] for one in report["weights"]} >= {"model.layers.0.mlp.up_proj.weight"}
    assert {one["what"] for one in report["files"]} >= {"extra"}  # the other run had no picture


def test_an_edited_record(workshop: Any, out: Path) -> None:
    path = out / "paramosaic.json"
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "gpu"'))
    assert f"{path} was changed or damaged" in workshop.refuse("verify", out)


def test_a_record_that_hides_a_file(workshop: Any, out: Path) -> None:
    """Whoever makes the digest anew still cannot hide a tensor, or have a file outside looked at."""
    change_record(
        out, lambda data: data.update(files=[file for file in data["files"] if file["name"] != SHARD])
    )
    _, report = workshop.distrust(out)
    assert (SHARD, "extra") in [(one["name"], one["what"]) for one in report["weights"]]
    assert "model.layers.0.mlp.up_proj.weight" in [one["tensor"] for one in report["weights"]]


# -- what is no damage ---------------------------------------------------------------------------------------


def by_products(folder: Path) -> None:
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    (folder / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / ".gitignore").write_text("*")
    (folder / ".cache" / "huggingface" / "download" / "config.json.metadata").write_text("0\n1\n")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / ".paramosaic").mkdir()
    (folder / ".paramosaic" / "journal").write_bytes(b"")
    (folder / "pictures" / ".DS_Store").touch()
    (folder / "empty").mkdir()


def test_a_folder_published_to_the_hub_and_downloaded_again(workshop: Any, out: Path) -> None:
    downloaded = shutil.copytree(out, workshop.folder / "downloaded")
    by_products(downloaded)
    result = workshop.run("verify", downloaded)
    assert result.status == 0, result.stderr
    assert "README.md: as written" in result.stdout
    (downloaded / ".cache" / "other").write_text("")
    assert ".cache/other" in workshop.distrust(downloaded)[0]


@posix
def test_a_snapshot_in_the_hubs_cache(workshop: Any, out: Path) -> None:
    """Where every file, by-products too, is a link to ../../blobs/<hash>."""
    repository = workshop.folder / "models--me--merged"
    snapshot = repository / "snapshots" / "0123abcd"
    (repository / "blobs").mkdir(parents=True)
    (out / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    for path in [path for path in out.rglob("*") if path.is_file()]:
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        link = snapshot / path.relative_to(out)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    assert workshop.run("verify", snapshot).status == 0
    blob = (snapshot / "tokenizer.json").resolve()
    blob.write_bytes(b"{}")
    (snapshot / "x.py").symlink_to(blob)
    found = workshop.distrust(snapshot)[1]["files"]
    assert [(one["name"], one["what"]) for one in found] == [("tokenizer.json", "changed"), ("x.py", "extra")]


def test_a_folder_without_a_record(workshop: Any, out: Path) -> None:
    (out / "paramosaic.json").unlink()
    result = workshop.run("verify", out)
    assert result.status == 0
    assert "there is no run record (paramosaic.json), so only the structure was checked" in result.stdout
    assert json.loads(workshop.run("verify", out, "--json").stdout)["verdict"] == "structure only"
    report = verify_output(out)
    assert (report.structural, report.tensors, report.lists_files) == (True, 3, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: (out / SHARD).unlink(), SHARD),
        (lambda out: os.truncate(out / SHARD, 300), SHARD),
        (lambda out: (out / "config.json").write_text("{"), "config.json"),
        (lambda out: (out / "config.json").unlink(), "config.json"),
        (lambda out: (out / "model.safetensors.index.json").write_text("{}"), "model.safetensors.index.json"),
    ],
    ids=["no shard", "short shard", "bad config", "no config", "bad index"],
)
def test_a_folder_without_a_record_that_is_no_sound_model(
    workshop: Any, out: Path, change: Callable[[Path], Any], said: str
) -> None:
    (out / "paramosaic.json").unlink()
    change(out)
    assert said in workshop.refuse("verify", out)


class TestSchema1:
    @pytest.fixture
    def old(self, out: Path) -> Path:
        def older(data: dict[str, Any]) -> None:
            data["schema_version"] = 1
            for key in ("files", "run_id", "started", "record_digest"):
                del data[key]

        change_record(out, older)
        return out

    def test_the_tensors_are_checked_and_the_rest_is_said_to_be_unknown(
        self, workshop: Any, old: Path
    ) -> None:
        (old / "config.json").write_text("{}")
        result = workshop.run("verify", old)
        assert result.status == 0
        assert "weights  3 tensors: as written" in result.stdout
        assert "files    that are loaded or run: not known, the record does not list them" in result.stdout
        assert json.loads(workshop.run("verify", old, "--json").stdout)["verdict"] == "tensors as written"

    def test_a_damaged_tensor(self, workshop: Any, old: Path) -> None:
        damaged_tensor(old)
        said, report = workshop.distrust(old)
        assert "tensor 'model.layers.0.mlp.up_proj.weight'" in said
        assert len(report["weights"]) == 1

    def test_a_lost_shard(self, workshop: Any, old: Path) -> None:
        (old / SHARD).unlink()
        assert f"names the shard {SHARD}, which is missing" in workshop.refuse("verify", old)


# -- how ---------------------------------------------------------------------------------------------------


def test_nothing_of_the_folder_is_changed_and_it_can_be_cancelled(workshop: Any, out: Path) -> None:
    before = workshop.snapshot()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        verify_output(out, cancel=token)
    verify_output(out)
    assert workshop.snapshot() == before


def test_many_findings_are_counted_and_not_all_printed(workshop: Any, out: Path) -> None:
    for number in range(500):
        (out / f"extra-{number:03}\n\x1b[31m").touch()
    result = workshop.run("verify", out)
    assert result.status == 1
    assert len(result.stdout.splitlines()) < 60
    assert "…        and 450 more" in result.stdout
    assert (result.stdout + result.stderr).replace("\n", "").isprintable()
    assert "; 499 more findings" in result.error
    assert len(json.loads(workshop.run("verify", out, "--json").stdout)["files"]) == 500
