"""Bad input: one clear sentence, exit status 1, inputs as they were, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_records import change_record

import core.disk
import core.plan.planning
from core.checkpoint.headers import encode_header
from core.checkpoint.output import check_output, free_disk_bytes
from core.checkpoint.staging import Staging
from core.dtypes import DTYPES
from core.errors import CheckpointError, IncompatibleError, MergeError, OutputError, RecipeError
from core.plan.planning import check_destination, plan_merge
from core.recipe.file import load_recipe
from core.run.merge import run_merge
from core.run.verify import verify_output
from core.sources.files import _OpenShard

NORM = "model.norm.weight"
UP = "model.layers.0.mlp.up_proj.weight"


class TestRecipeFile:
    def test_missing(self, workshop: Any) -> None:
        assert "nope.yaml: No such file" in workshop.refuse("plan", workshop.folder / "nope.yaml")

    def test_a_folder(self, workshop: Any) -> None:
        assert "is a folder, not a recipe" in workshop.refuse("plan", workshop.folder)

    def test_name_too_long(self, workshop: Any) -> None:
        assert "File name too long" in workshop.refuse("plan", workshop.folder / ("x" * 300))

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"models: [", "line 1, is not valid YAML"),
            (b"a:\n\t- b\n", "line 2, is not valid YAML"),
            (b"", "not a mapping"),
            (b"- a\n", "not a mapping"),
            (b"merge_method: \xff\n", "is not UTF-8 text"),
            ("merge_method: linear".encode("utf-16"), "is not UTF-8 text"),
            (b"merge_method: linear\0\n", "the character U+0000 is not allowed"),
            (b"seed: 1\nseed: 2\n", "line 2, is not valid YAML: the key 'seed' stands twice"),
            (b"a: 1\n---\nb: 2\n", "documents 1 and 2 have no name, and one alone can be the result"),
            (b"seed: " + b"[" * 900, "nested too deeply"),
            (b"seed: 2020-13-45\n", "a value that cannot be understood"),
            (b"#" * 5_000_000, "too large to be what its name says"),
        ],
        ids=lambda value: value[:24] if isinstance(value, bytes) else "",
    )
    def test_not_a_recipe(self, workshop: Any, content: bytes, problem: str) -> None:
        said = workshop.refuse("plan", workshop.recipe(content))
        assert "recipe.yaml" in said
        assert problem in said

    def test_weights_as_a_recipe(self, workshop: Any) -> None:
        said = workshop.refuse("plan", workshop.model("a") / "model.safetensors")
        assert "is not UTF-8 text" in said

    def test_the_message_stays_short(self, workshop: Any) -> None:
        bomb = "seed: [" + ", ".join(["&a [x, x, x]", "&b [*a, *a, *a]", "&c [*b, *b, *b]"]) + "]\n"
        assert len(workshop.refuse("plan", workshop.recipe(extra=bomb))) < 1000
        assert len(workshop.refuse("plan", workshop.recipe(extra=f"seed: 0x{'f' * 9000}\n"))) < 1000
        assert len(workshop.refuse("plan", workshop.recipe(extra=f"{'z' * 900}: 1\n"))) < 1000

    def test_unknown_home(self, workshop: Any) -> None:
        said = workshop.refuse("plan", workshop.recipe(models=["~nobody-of-that-name/m"]))
        assert "models, entry 1: model '~nobody-of-that-name/m' is in the home folder" in said


class TestModelFolders:
    def test_missing(self, workshop: Any) -> None:
        workshop.trio()
        said = workshop.refuse("plan", workshop.recipe(models=["a", "nowhere"]))
        assert f"the model folder {workshop.folder / 'nowhere'} does not exist" in said

    def test_empty(self, workshop: Any) -> None:
        workshop.trio()
        (workshop.folder / "empty").mkdir()
        assert "empty holds no model" in workshop.refuse("plan", workshop.recipe(models=["empty"]))

    def test_a_file(self, workshop: Any) -> None:
        recipe = workshop.trio()
        said = workshop.refuse("plan", workshop.recipe(models=["recipe.yaml"]))
        assert f"{recipe} is a file, not a model folder" in said

    def test_links_in_a_circle(self, workshop: Any) -> None:
        workshop.trio()
        (workshop.folder / "loop").symlink_to("loop")
        assert "loop" in workshop.refuse("plan", workshop.recipe(models=["a", "loop"]))

    def test_path_too_long(self, workshop: Any) -> None:
        workshop.trio()
        assert "File name too long" in workshop.refuse("plan", workshop.recipe(models=["x" * 300]))

    def test_adapter(self, workshop: Any) -> None:
        workshop.trio()
        folder = workshop.folder / "a"
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text("{}")
        said = workshop.refuse("plan", workshop.recipe())
        assert "holds an adapter of a kind that it does not say" in said
        assert "merge_and_unload" in said

    def test_safetensors_under_the_name_of_a_pickle(self, workshop: Any) -> None:
        workshop.trio()
        folder = workshop.folder / "a"
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        said = workshop.refuse("plan", workshop.recipe())
        assert f"{folder / 'pytorch_model.bin'} is a safetensors file" in said

    def test_several_files_without_an_index(self, workshop: Any) -> None:
        workshop.trio()
        folder = workshop.folder / "a"
        for name in ("one.safetensors", "two.safetensors"):
            shutil.copy(folder / "model.safetensors", folder / name)
        (folder / "model.safetensors").unlink()
        assert "has 2 safetensors files and no model.safetensors.index.json" in workshop.refuse(
            "plan", workshop.recipe()
        )

    def test_names_that_are_not_text(self, workshop: Any) -> None:
        workshop.trio()
        folder = workshop.folder / os.fsdecode(b"bad\xff")
        try:
            shutil.copytree(workshop.folder / "a", folder)
        except OSError:
            pytest.skip("this file system takes no such names")
        recipe = folder / "recipe.yaml"
        recipe.write_text("merge_method: linear\nmodels: [{model: .}]\n")
        assert r"bad\udcff is not valid text" in workshop.refuse("plan", recipe)
        said = workshop.refuse("inspect", workshop.folder / "base", folder)
        assert r"bad\udcff' is not valid text" in said

    @pytest.mark.parametrize(
        ("content", "problem"),
        [(b"{", "is not valid JSON"), (b"[]", "is not a JSON object"), (b"\xff", "is not valid JSON")],
    )
    def test_config(self, workshop: Any, content: bytes, problem: str) -> None:
        recipe = workshop.trio()
        config = workshop.folder / "b" / "config.json"
        config.write_bytes(content)
        assert f"{config} {problem}" in workshop.refuse("plan", recipe)

    def test_config_nested_too_deeply_to_copy(self, workshop: Any) -> None:
        recipe = workshop.trio()
        config = workshop.folder / "a" / "config.json"
        config.write_text('{"model_type": "llama", "x": ' + "[" * 900 + "]" * 900 + "}")
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "out")
        assert f"{config} is nested too deeply" in said

    def test_half_a_surrogate_pair_is_copied(self, workshop: Any) -> None:
        recipe = workshop.trio()
        (workshop.folder / "a" / "config.json").write_text('{"model_type": "llama", "x": "\\ud800"}')
        (workshop.folder / "a" / "tokenizer_config.json").write_text('{"name_or_path": "/x", "y": "\\ud800"}')
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        assert json.loads((out / "config.json").read_text())["x"] == "\ud800"
        assert json.loads((out / "tokenizer_config.json").read_text()) == {"y": "\ud800"}


def _index(folder: Path, content: Any) -> Path:
    """Turn the model in `folder` into one with an index and one shard, s.safetensors."""
    (folder / "model.safetensors").rename(folder / "s.safetensors")
    path = folder / "model.safetensors.index.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


class TestIndex:
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"{", "is not valid JSON"),
            (b"", "is not valid JSON"),
            (b'{"a": ' * 5000, "is not valid JSON"),
            ([], "is not a JSON object"),
            ({}, "has no weight_map"),
            ({"weight_map": {}}, "has no weight_map"),
            ({"weight_map": {NORM: 3}}, "has no weight_map"),
            (
                {"weight_map": {NORM: "gone.safetensors"}},
                "names the shard gone.safetensors, which is missing",
            ),
            ({"weight_map": {NORM: "config.json"}}, "config.json is a text file and not a safetensors file"),
            ({"weight_map": {"more": "s.safetensors"}}, "says that tensor 'more' is in s.safetensors"),
        ],
        ids=str,
    )
    def test_damaged(self, workshop: Any, content: Any, problem: str) -> None:
        recipe = workshop.trio()
        _index(workshop.folder / "a", content)
        assert problem in workshop.refuse("plan", recipe)

    @pytest.mark.parametrize(
        "name", ["../x", "/etc/passwd", "..", ".", "", "sub/x", "sub\\x", "x" * 300, "a\0b", "\ud800"]
    )
    def test_names_of_other_places(self, workshop: Any, name: str) -> None:
        recipe = workshop.trio()
        path = _index(workshop.folder / "a", {"weight_map": {NORM: name}})
        assert str(path) in workshop.refuse("plan", recipe)


class TestWeightsFile:
    def test_cut_short_anywhere(self, workshop: Any) -> None:
        recipe = workshop.trio()
        path = workshop.folder / "a" / "model.safetensors"
        whole = path.read_bytes()
        header = 8 + int.from_bytes(whole[:8], "little")
        for size in (0, 1, 7, 8, 9, header - 1, header, header + 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            assert str(path) in workshop.refuse("plan", recipe)

    @pytest.mark.parametrize("kind", ["folder", "broken link", "link in a circle", "device"])
    def test_not_a_file(self, workshop: Any, kind: str) -> None:
        recipe = workshop.trio()
        path = workshop.folder / "a" / "model.safetensors"
        path.unlink()
        if kind == "folder":
            path.mkdir()
        else:
            targets = {"broken link": "gone", "link in a circle": path.name, "device": "/dev/zero"}
            path.symlink_to(targets[kind])
        assert str(path) in workshop.refuse("plan", recipe)

    def test_git_lfs_pointer(self, workshop: Any) -> None:
        recipe = workshop.trio()
        path = workshop.folder / "a" / "model.safetensors"
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        said = workshop.refuse("plan", recipe)
        assert f"{path} is a pointer of Git LFS" in said
        assert "git lfs pull" in said


class TestModelsThatDoNotMatch:
    def test_another_architecture(self, workshop: Any) -> None:
        recipe = workshop.trio()
        (workshop.folder / "b" / "config.json").write_text('{"model_type": "mistral"}')
        said = workshop.refuse("plan", recipe)
        assert f"{workshop.folder / 'b'} is a mistral model and {workshop.folder / 'base'} a llama" in said

    def test_a_tensor_is_missing(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", shapes={NORM: (8,), UP: (300, 8)})
        said = workshop.refuse("plan", workshop.recipe(models=["a", "c"]))
        assert "'model.embed_tokens.weight'" in said
        assert f"missing in {workshop.folder / 'c'}" in said

    def test_a_tensor_too_many(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model(
            "c", shapes={"model.embed_tokens.weight": (64, 8), UP: (300, 8), NORM: (8,), "x": (2,)}
        )
        said = workshop.refuse("plan", workshop.recipe(models=["a", "c"]))
        assert f"tensor 'x' of {workshop.folder / 'c'} is missing in {workshop.folder / 'base'}" in said

    def test_another_shape(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", shapes={"model.embed_tokens.weight": (64, 8), UP: (600, 4), NORM: (8,)})
        said = workshop.refuse("plan", workshop.recipe(models=["a", "c"]))
        for part in (UP, f"600×4 in {workshop.folder / 'c'}", f"300×8 in {workshop.folder / 'base'}"):
            assert part in said

    def test_another_vocabulary(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", shapes={"model.embed_tokens.weight": (66, 8), UP: (300, 8), NORM: (8,)})
        said = workshop.refuse("plan", workshop.recipe(models=["a", "c"]))
        for part in (f"66×8 in {workshop.folder / 'c'}", "`vocab: union`", "`tokenizer: {source: …}`"):
            assert part in said

    def test_a_union_of_the_same_changes_nothing(self, workshop: Any) -> None:
        """Version 0.1 wrote it into every recipe."""
        workshop.trio()
        outputs = []
        for extra in ("", "vocab: union\n"):
            out = workshop.folder / f"out{len(extra)}"
            assert workshop.run("merge", workshop.recipe(extra=extra), "--out", out).status == 0
            outputs.append((out / "model.safetensors").read_bytes())
        assert outputs[0] == outputs[1]

    def test_quantised(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", dtypes={UP: "I8"})
        said = workshop.refuse("plan", workshop.recipe(models=["c"]))
        assert f"{workshop.folder / 'c'} holds 1 integer weight, as '{UP}' stored as I8" in said
        assert "merge the checkpoint that it was made from" in said

    def test_inspect_says_the_same(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", shapes={"model.embed_tokens.weight": (64, 8), UP: (600, 4), NORM: (8,)})
        said = workshop.refuse("inspect", workshop.folder / "base", workshop.folder / "c")
        assert f"600×4 in {workshop.folder / 'c'}" in said

    def test_forbidden_values(self, workshop: Any) -> None:
        workshop.trio()
        header = encode_header({"w": (DTYPES["F32"], (2,), 0, 8)})
        for name, data in (("c", b"\0\0\xc0\x7f" * 2), ("d", b"\0" * 8)):
            workshop.model(name)
            (workshop.folder / name / "model.safetensors").write_bytes(header + data)
        recipe = workshop.recipe(base="d", models=["c"], extra="nonfinite: error\n")
        before = workshop.snapshot()
        result = workshop.run("merge", recipe, "--out", workshop.folder / "out")
        assert result.status == 1
        assert f"'w' of {workshop.folder / 'c' / 'model.safetensors'} holds NaN" in result.error
        assert workshop.snapshot() == before


class TestOutputFolder:
    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    @pytest.mark.parametrize("place", ["a", "a/new", "link", "link/new", ".", "base/../a"])
    def test_inputs_are_never_written_to(self, workshop: Any, place: str, overwrite: list[str]) -> None:
        recipe = workshop.trio()
        (workshop.folder / "link").symlink_to("a")
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / place, *overwrite)
        assert "input" in said

    @pytest.mark.parametrize(
        ("place", "problem"),
        [
            ("/", "has no name"),
            (".", "has no name"),
            ("..", "has no name"),
            ("recipe.yaml", "exists already"),
            ("recipe.yaml/out", "is not a folder"),
            ("recipe.yaml/deep/out", "is not a folder"),
            ("full", "exists already"),
            ("empty", "exists already"),
            ("broken", "exists already"),
            ("circle", "cannot be followed"),
            ("circle/out", "cannot be followed"),
            ("x" * 255, "File name too long"),
            (os.fsdecode(b"bad\xff"), "is not valid text"),
        ],
    )
    def test_refused(self, workshop: Any, monkeypatch: pytest.MonkeyPatch, place: str, problem: str) -> None:
        recipe = workshop.trio()
        monkeypatch.chdir(workshop.folder)
        (workshop.folder / "full").mkdir()
        (workshop.folder / "full" / "thesis.txt").write_text("mine")
        (workshop.folder / "empty").mkdir()
        (workshop.folder / "broken").symlink_to("gone")
        (workshop.folder / "circle").symlink_to("circle")
        assert problem in workshop.refuse("merge", recipe, "--out", place)

    @pytest.mark.parametrize("name", ["thesis.txt", "config.json", "paramosaic.txt"])
    def test_overwrite_refuses_what_is_no_model(self, workshop: Any, name: str) -> None:
        recipe = workshop.trio()
        (workshop.folder / "mine").mkdir()
        (workshop.folder / "mine" / name).write_text("{}")
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "mine", "--overwrite")
        assert "is not the result of a merge" in said

    def test_overwrite_refuses_a_file(self, workshop: Any) -> None:
        recipe = workshop.trio()
        assert "is not the result of a merge" in workshop.refuse(
            "merge", recipe, "--out", recipe, "--overwrite"
        )

    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    def test_what_a_crash_left_is_reported(self, workshop: Any, overwrite: list[str]) -> None:
        recipe = workshop.trio()
        (workshop.folder / "out.partial").mkdir()
        (workshop.folder / "out.partial" / "model.safetensors").write_text("half")
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "out", *overwrite)
        assert f"{workshop.folder / 'out.partial'} is in the way" in said

    def test_the_parent_is_not_writable(
        self, workshop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        recipe = workshop.trio()
        (tmp_path / "locked").mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
        said = workshop.refuse("merge", recipe, "--out", tmp_path / "locked" / "out")
        assert f"{tmp_path / 'locked'} is not writable" in said

    def test_the_disk_is_too_full(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = workshop.trio()
        monkeypatch.setattr(core.plan.planning, "free_disk_bytes", lambda out: 1000)
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "out")
        assert "bytes and the disk of" in said
        assert "has 1,000 free" in said


EMBEDDING = "model.embed_tokens.weight"
SHAPES = {EMBEDDING: (64, 8), UP: (300, 8), NORM: (8,)}


class TestAddresses:
    """Errors say which field of the recipe, and which entry of its models, they are about."""

    @pytest.mark.parametrize("place", ["base", "a", "b"])
    @pytest.mark.parametrize("fault", ["missing", "empty", "config", "cut short"])
    def test_a_model_that_cannot_be_opened(self, workshop: Any, place: str, fault: str) -> None:
        recipe = load_recipe(workshop.trio())
        folder = workshop.folder / place
        if fault == "missing":
            shutil.rmtree(folder)
        elif fault == "empty":
            (folder / "model.safetensors").unlink()
        elif fault == "config":
            (folder / "config.json").write_text("{")
        else:
            os.truncate(folder / "model.safetensors", 100)
        wanted = ("base_model", None) if place == "base" else ("models", ["a", "b"].index(place))
        assert _address(CheckpointError, plan_merge, recipe) == wanted

    def test_the_base_of_a_method_that_ignores_it(self, workshop: Any) -> None:
        workshop.trio()
        text = "merge_method: linear\nbase_model: gone\nmodels: [{model: a}, {model: b}]\n"
        assert _address(CheckpointError, plan_merge, load_recipe(workshop.recipe(text))) == (
            "base_model",
            None,
        )

    @pytest.mark.parametrize(
        ("model", "field"),
        [
            ({"config": {"model_type": "mistral"}}, "models"),
            ({"shapes": {EMBEDDING: (64, 8), NORM: (8,)}}, "models"),
            ({"shapes": {**SHAPES, "x": (2,)}}, "models"),
            ({"shapes": {**SHAPES, UP: (600, 4)}}, "models"),
            ({"shapes": {**SHAPES, EMBEDDING: (66, 8)}}, "models"),
            ({"dtypes": {UP: "I8"}}, "models"),
        ],
        ids=str,
    )
    def test_a_sub_model_that_does_not_match(self, workshop: Any, model: Any, field: str) -> None:
        workshop.trio()
        workshop.model("c", **model)
        # the base is listed here, and does not count: entry 1 is the second sub-model
        recipe = load_recipe(workshop.recipe(models=["base", "a", "c"]))
        assert _address(MergeError, plan_merge, recipe) == (field, 1)

    def test_a_vocabulary_that_differs(self, workshop: Any) -> None:
        workshop.trio()
        workshop.model("c", shapes={**SHAPES, EMBEDDING: (66, 8)})
        recipe = load_recipe(workshop.recipe(models=["a", "c"]))
        assert _address(IncompatibleError, plan_merge, recipe) == ("models", 1)

    def test_types_with_nothing_in_common(self, workshop: Any) -> None:
        workshop.trio()
        for name, dtype in (("c", "F8_E4M3"), ("d", "F8_E5M2")):
            workshop.model(name, dtypes={UP: dtype})
        recipe = load_recipe(workshop.recipe(models=["c", "d"]))
        assert _address(IncompatibleError, plan_merge, recipe) == ("dtype", None)

    @pytest.mark.parametrize("fault", ["missing", "architecture", "config"])
    def test_the_source_of_the_tokenizer(self, workshop: Any, fault: str) -> None:
        workshop.trio()
        if fault != "missing":
            workshop.model("tokens", config={"model_type": "mistral"})
        if fault == "config":
            (workshop.folder / "tokens" / "config.json").write_text("{")
        recipe = load_recipe(workshop.recipe(extra="tokenizer_source: tokens\n"))
        assert _address(MergeError, plan_merge, recipe) == ("tokenizer_source", None)

    def test_values_of_a_tensor(self, workshop: Any) -> None:
        workshop.trio()
        rules = "parameters: {weight: [{filter: norm, value: 0}, {value: 1}]}\n"
        recipe = load_recipe(workshop.recipe(extra=rules))
        assert _address(RecipeError, plan_merge, recipe) == ("weight", None)
        with pytest.raises(RecipeError) as raised:
            plan_merge(recipe)
        assert raised.value.tensor == NORM

    def test_the_shard_size(self, workshop: Any) -> None:
        recipe = load_recipe(workshop.trio())
        assert _address(OutputError, lambda: plan_merge(recipe, shard_size_bytes=0)) == ("shard_size", None)

    @pytest.mark.parametrize("place", ["", "a", "a/new", "recipe.yaml", "recipe.yaml/out", "half", "x" * 255])
    def test_the_output_folder(self, workshop: Any, place: str) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))
        (workshop.folder / "half.partial").mkdir()
        out = workshop.folder / place if place else Path(place)
        assert _address(OutputError, lambda: run_merge(plan, out)) == ("out", None)

    def test_the_disk(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))
        out = workshop.folder / "out"
        with monkeypatch.context() as patch:
            patch.setattr(core.plan.planning, "free_disk_bytes", lambda out: 1000)
            assert _address(OutputError, lambda: check_destination(plan, out, overwrite=False)) == (
                "out",
                None,
            )
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", _failing("disk_usage", shutil.disk_usage, 0, errno.EIO))
            assert _address(OutputError, free_disk_bytes, out) == ("out", None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda path, mode: False)
            assert _address(OutputError, lambda: check_output(out, [], overwrite=False)) == ("out", None)
        with monkeypatch.context() as patch:
            staging = Staging(out)
            patch.setattr(os, "fsync", _failing("fsync", os.fsync, 0, errno.ENOSPC))
            assert _address(OutputError, staging.add_file, "a", [b""]) == ("out", None)
            (out.with_name("out.partial") / "a").unlink()
            staging.abandon()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", _failing("pwrite", os.pwrite, 0, errno.ENOSPC))
            assert _address(OutputError, lambda: run_merge(plan, out)) == ("out", None)
        staging = Staging(out)
        out.mkdir()
        assert _address(OutputError, lambda: staging.finish(overwrite=False, note=print)) == ("out", None)


def _address(
    kind: type[MergeError], call: Callable[..., Any], *arguments: Any
) -> tuple[str | None, int | None]:
    """The field and the entry of the error that a call raises."""
    with pytest.raises(kind) as raised:
        call(*arguments)
    return raised.value.field, raised.value.entry


class TestDevice:
    @pytest.mark.parametrize(
        "device", ["xyz", "", "CUDA", "cuda:", "cuda:-1", "cuda:²", "cuda:" + "9" * 5000]
    )
    def test_unknown(self, workshop: Any, device: str) -> None:
        recipe = workshop.trio()
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "out", "--device", device)
        assert "is not known" in said

    @pytest.mark.parametrize("device", ["cuda", "cuda:7"])
    def test_not_there(self, workshop: Any, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
        recipe = workshop.trio()
        monkeypatch.setattr("core.devices.may_have_cuda", lambda: False)
        said = workshop.refuse("merge", recipe, "--out", workshop.folder / "out", "--device", device)
        assert f"the device {device} is not there" in said
        assert "use the CPU" in said


def _failing(name: str, call: Callable[..., Any], after: int, number: int) -> Callable[..., Any]:
    """The system call `call` that fails with error `number` from its `after`-th use on."""
    uses = 0

    def fails(*arguments: Any) -> Any:
        nonlocal uses
        uses += 1
        if uses > after:
            raise OSError(number, os.strerror(number))
        return call(*arguments)

    fails.__name__ = name
    return fails


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the calls that are made to fail are Linux's")
class TestFailuresDuringTheMerge:
    """Whatever fails on the way: the reason is told, and everything is as it was before."""

    @pytest.mark.parametrize(
        ("call", "after", "number"),
        [
            ("posix_fallocate", 0, errno.ENOSPC),
            ("pwrite", 0, errno.ENOSPC),
            ("pwrite", 3, errno.ENOSPC),
            ("pwrite", 2, errno.EDQUOT),
            ("pwrite", 2, errno.EIO),
            ("fsync", 0, errno.EIO),
            ("fsync", 2, errno.ENOSPC),
        ],
    )
    def test_writing(
        self, workshop: Any, monkeypatch: pytest.MonkeyPatch, call: str, after: int, number: int
    ) -> None:
        recipe = workshop.trio()
        before = workshop.snapshot()
        monkeypatch.setattr(os, call, _failing(call, getattr(os, call), after, number))
        result = workshop.run("merge", recipe, "--out", workshop.folder / "out")
        assert result.status == 1
        assert result.error.startswith(f"cannot write {workshop.folder / 'out.partial'}")
        assert os.strerror(number) in result.error
        assert workshop.snapshot() == before

    def test_new_parent_folders_go_again(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = workshop.trio()
        before = workshop.snapshot()
        monkeypatch.setattr(os, "pwrite", _failing("pwrite", os.pwrite, 2, errno.ENOSPC))
        assert workshop.run("merge", recipe, "--out", workshop.folder / "new" / "deep" / "out").status == 1
        assert workshop.snapshot() == before

    def test_the_small_files_come_first(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that is too full for them is noticed before the work."""
        recipe = workshop.trio()

        def fails(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(core.disk.system, "write", fails)
        monkeypatch.setattr(core.disk.system, "write_at", None)
        workshop.refuse("merge", recipe, "--out", workshop.folder / "out")

    def test_reading(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))
        before = workshop.snapshot()
        monkeypatch.setattr(
            "core.checkpoint.native_read.read_rows", lambda rows: 1
        )  # so many without an error
        monkeypatch.setattr(os, "preadv", _failing("preadv", os.preadv, 3, errno.EIO))
        with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors: Input/output error"):
            run_merge(plan, workshop.folder / "out")
        assert workshop.snapshot() == before

    def test_a_file_ends_while_it_is_read(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))
        path = workshop.folder / "b" / "model.safetensors"
        expect = _OpenShard.expect

        def cut_short(shard: _OpenShard, offset: int, size: int) -> None:
            expect(shard, offset, size)
            if shard.file.path == path:
                os.truncate(path, offset + size - 1)

        monkeypatch.setattr(_OpenShard, "expect", cut_short)
        with pytest.raises(CheckpointError, match=r"b/model\.safetensors ended before byte"):
            run_merge(plan, workshop.folder / "out", threads=1)
        assert not (workshop.folder / "out.partial").exists()

    @pytest.mark.parametrize("change", ["cut short", "rewritten", "deleted"])
    def test_a_model_changes_after_the_plan(self, workshop: Any, change: str) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))
        path = workshop.folder / "b" / "model.safetensors"
        if change == "cut short":
            os.truncate(path, path.stat().st_size - 1)
        elif change == "rewritten":
            os.utime(path, ns=(1, 1))
        else:
            path.unlink()
        before = workshop.snapshot()
        with pytest.raises(CheckpointError) as raised:
            run_merge(plan, workshop.folder / "out")
        assert str(path) in raised.value.message
        assert workshop.snapshot() == before

    def test_the_old_output_survives(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        before = workshop.snapshot()
        monkeypatch.setattr(os, "pwrite", _failing("pwrite", os.pwrite, 2, errno.ENOSPC))
        assert workshop.run("merge", recipe, "--out", out, "--overwrite").status == 1
        assert workshop.snapshot() == before

    def test_the_last_rename(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = workshop.trio()
        out = workshop.folder / "out"
        assert workshop.run("merge", recipe, "--out", out).status == 0
        before = workshop.snapshot()
        rename = core.disk.system.rename

        def fails_for_staging(name: Any, new: Any, **how: Any) -> None:
            if Path(name).name == "out.partial":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            rename(name, new, **how)

        monkeypatch.setattr(core.disk.system, "rename", fails_for_staging)
        with pytest.raises(OutputError, match="cannot rename") as caught:
            run_merge(plan_merge(load_recipe(recipe)), out, overwrite=True)
        after = workshop.snapshot()
        assert {path: after[path] for path in before} == before
        assert "out.partial" in str(caught.value.hint)  # hours of work are not thrown away
        assert verify_output(workshop.folder / "out.partial").tensors > 0

    def test_too_little_memory(self, workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = plan_merge(load_recipe(workshop.trio()))

        def no_memory(*arguments: Any) -> Any:
            raise MemoryError

        monkeypatch.setattr("core.run.merging.OpenInputs.read", no_memory)
        with pytest.raises(MergeError, match="not enough memory"):
            run_merge(plan, workshop.folder / "out")
        assert not (workshop.folder / "out.partial").exists()


class TestVerify:
    @pytest.fixture
    def out(self, workshop: Any) -> Path:
        out: Path = workshop.folder / "out"
        result = workshop.run("merge", workshop.trio(), "--out", out, "--shard-size", "2kB")
        assert result.status == 0, result.stderr
        assert workshop.run("verify", out).status == 0
        return out

    def test_every_changed_byte_is_found(self, workshop: Any, out: Path) -> None:
        for path in sorted(out.glob("*.safetensors")):
            whole = path.read_bytes()
            data = 8 + int.from_bytes(whole[:8], "little")
            for at in (0, 7, 9, data, (data + len(whole)) // 2, len(whole) - 1):
                damaged = bytearray(whole)
                damaged[at] ^= 1
                path.write_bytes(damaged)
                said, found = workshop.distrust(out)
                assert str(path) in said
                assert [one["name"] for one in found["weights"]] == [path.name]
            path.write_bytes(whole)

    def test_a_shard_is_missing(self, workshop: Any, out: Path) -> None:
        shard = sorted(out.glob("*.safetensors"))[1]
        shard.unlink()
        said, found = workshop.distrust(out)
        assert f"{shard}, which the run record names, is missing" in said
        assert [(one["name"], one["what"]) for one in found["weights"]] == [(shard.name, "missing")]

    def test_no_output(self, workshop: Any, out: Path) -> None:
        for folder, problem in [
            (workshop.folder, "holds no model"),
            (workshop.folder / "gone", "does not exist"),
            (workshop.folder / "recipe.yaml", "is not a folder"),
        ]:
            assert f"{folder} {problem}" in workshop.refuse("verify", folder)

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff", b"[]", b"null", b"3", b"{}", b"[" * 9000, b'{"schema_version": 2}']
    )
    def test_the_record_is_damaged(self, workshop: Any, out: Path, content: bytes) -> None:
        (out / "paramosaic.json").write_bytes(content)
        assert str(out / "paramosaic.json") in workshop.refuse("verify", out)

    @pytest.mark.parametrize("value", [None, "x", {"a": 1}, [{}], float("inf")], ids=str)
    def test_a_value_of_the_record_is_damaged(self, workshop: Any, out: Path, value: Any) -> None:
        whole = (out / "paramosaic.json").read_text()
        for key in ("schema_version", "recipe", "inputs", "software", "bytes_read", "tensors"):
            if not (key in {"recipe", "software"} and isinstance(value, dict)):
                change_record(out, lambda data, key=key: data.update({key: value}))
                assert "paramosaic.json" in workshop.refuse("verify", out)
        for key in ("name", "shape", "dtype", "elements", "nonfinite", "digest", "changed_by"):
            if not (key == "changed_by" and value is None):  # a copied tensor has none
                (out / "paramosaic.json").write_text(whole)
                change_record(out, lambda data, key=key: data["tensors"][0].update({key: value}))
                result = workshop.run("verify", out)
                assert (result.status, str(out) in result.error) == (1, True), result

    def test_the_record_has_other_tensors(self, workshop: Any, out: Path) -> None:
        whole = (out / "paramosaic.json").read_text()
        change_record(out, lambda data: data["tensors"].pop())
        assert "is not in its run record" in workshop.distrust(out)[0]
        (out / "paramosaic.json").write_text(whole)
        change_record(out, lambda data: data["tensors"].append({**data["tensors"][0], "name": "more"}))
        assert "tensor 'more' of the run record is missing" in workshop.distrust(out)[0]
        (out / "paramosaic.json").write_text(whole)
        change_record(out, lambda data: data["tensors"].append(data["tensors"][0]))
        assert "a tensor stands twice" in workshop.refuse("verify", out)


class TestInspect:
    @pytest.mark.parametrize("sample", ["0", "2", "-1", "nan", "inf"])
    def test_sample(self, workshop: Any, sample: str) -> None:
        workshop.trio()
        base, model = workshop.folder / "base", workshop.folder / "a"
        assert "is not a fraction" in workshop.refuse("inspect", base, model, "--sample", sample)

    def test_the_base_alone(self, workshop: Any) -> None:
        workshop.trio()
        base = workshop.folder / "base"
        assert "K = 0" in workshop.refuse("inspect", base, base)
