"""Folders that may not be entered: whatever scripts call says so as a MergeError that names the place."""

from __future__ import annotations

import builtins
import errno
import inspect
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import core
from core.errors import MergeError

_TAKES_NO_PATH = {"findings_of_record", "recipe_as_dict", "roll_up"}


@pytest.fixture
def linear(tmp_path: Path) -> dict[str, Any]:
    for name in ("m", "locked/m"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        save_file({"w": np.ones((2, 2), np.float16)}, folder / "model.safetensors")
    (tmp_path / "locked/recipe.yaml").write_text("merge_method: linear\nmodels: [{model: m}]\n")
    (tmp_path / "locked/out.partial/.paramosaic").mkdir(parents=True)
    return {"merge_method": "linear", "models": [{"model": str(tmp_path / "m")}]}


def lock(monkeypatch: pytest.MonkeyPatch, folder: Path, *, listed: bool) -> None:
    """Refuse all that is in `folder`, as the system does where it may not be entered.

    Faked, since the system refuses nothing to who runs as root. With `listed`, the names in it may be read.
    """
    inside = f"{folder}{os.sep}"

    def guard(call: Callable[..., Any], *, lists: bool = False) -> Callable[..., Any]:
        def guarded(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
            if text.startswith(inside) or (lists and not listed and text == str(folder)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), text)
            return call(path, *arguments, **options)

        return guarded

    for name in ("stat", "lstat", "open", "readlink", "mkdir", "statvfs", "chmod", "unlink"):
        monkeypatch.setattr(os, name, guard(getattr(os, name)))
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, *rest: not f"{path}{os.sep}".startswith(inside) and access(path, *rest)
    )
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, guard(getattr(os, name), lists=True))
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", guard(module.open))


def calls(folder: Path, linear: dict[str, Any]) -> dict[str, list[Callable[[], Any]]]:
    """By the name of each public function that takes a path, calls that have to look into `folder`."""
    model, good = folder / "m", linear["models"][0]["model"]
    plan = core.plan_merge(core.parse_recipe(linear, folder.parent))
    base = {**linear, "merge_method": "task_arithmetic", "base_model": str(model)}

    def planned(**more: Any) -> Callable[[], Any]:
        return lambda: core.plan_merge(core.parse_recipe({**linear, **more}, folder))

    tasks = {**linear, "merge_method": "task_arithmetic", "base_model": good}
    locked = core.plan_merge(core.parse_recipe({**tasks, "models": [{"model": str(model)}]}, folder))
    return {
        "load_recipe": [lambda: core.load_recipe(folder / "recipe.yaml")],
        "parse_recipe": [planned(models=[{"model": "m"}]), planned(models=[{"model": f"{model}@x"}])],
        "plan_merge": [
            planned(models=[{"model": str(model)}]),
            planned(base_model=str(model)),
            planned(tokenizer_source=str(model)),
            lambda: core.plan_merge(core.parse_recipe(base, folder)),
        ],
        "inspect_models": [
            lambda: core.inspect_models(model, [good]),
            lambda: core.inspect_models(good, [model]),
        ],
        "plan_inspection": [lambda: core.plan_inspection(model, [good])],
        "measure_plan": [lambda: core.measure_plan(locked)],
        "preview_plan": [lambda: list(core.preview_plan(locked))],
        "run_merge": [
            lambda: core.run_merge(locked, folder.parent / "merged"),
            lambda: core.run_merge(plan, folder / "out"),
            lambda: core.run_merge(plan, folder / "out", resume=True),
            lambda: core.run_merge(plan, folder / "m", overwrite=True),
        ],
        "verify_output": [lambda: core.verify_output(model), lambda: core.verify_output(folder)],
        "read_record": [lambda: core.read_record(model)],
        "leftover_of": [],  # there is none as far as can be seen
        "discard": [lambda: core.discard(folder / "out.partial")],
    }


@pytest.mark.parametrize("listed", [True, False])
def test_what_scripts_call(
    tmp_path: Path, linear: dict[str, Any], monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    every = calls(tmp_path / "locked", linear)
    functions = {name for name in core.__all__ if inspect.isfunction(getattr(core, name))}
    assert functions == every.keys() | _TAKES_NO_PATH
    lock(monkeypatch, tmp_path / "locked", listed=listed)
    with pytest.raises(PermissionError):
        os.stat(tmp_path / "locked/m")
    for name, some in every.items():
        for call in some:
            with pytest.raises(MergeError) as raised:
                call()
            assert str(tmp_path / "locked") in raised.value.message, name
    assert core.leftover_of(tmp_path / "locked/out") is None
    assert not list(tmp_path.glob("merged*"))


def test_a_refusal_says_what_to_do(
    tmp_path: Path, linear: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(monkeypatch, tmp_path / "locked", listed=True)
    recipe = core.parse_recipe({**linear, "base_model": str(tmp_path / "locked/m")}, tmp_path)
    with pytest.raises(core.CheckpointError, match="Permission denied") as raised:
        core.plan_merge(recipe)
    assert raised.value.hint == "change its permissions, as with `chmod`, or ask whoever owns it"
    assert raised.value.field == "base_model"


def test_a_preview_that_has_begun(linear: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear["models"][0]["model"]
    tasks = {**linear, "merge_method": "task_arithmetic", "base_model": str(Path(model).parent / "locked/m")}
    found = core.preview_plan(core.plan_merge(core.parse_recipe(tasks, Path(model))))

    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "there")

    monkeypatch.setattr("core.deltas.survey.Survey.read", refused)
    with pytest.raises(MergeError, match="there: Permission denied"):
        next(found)


def test_a_working_folder_that_is_gone(
    tmp_path: Path, linear: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = core.plan_merge(core.parse_recipe(linear, tmp_path))

    def gone() -> str:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "getcwd", gone)
    for call in (
        lambda: core.plan_merge(core.parse_recipe({**linear, "models": [{"model": "m"}]}, Path("there"))),
        lambda: core.load_recipe("recipe.yaml"),
        lambda: core.leftover_of(Path("out")),
        lambda: core.discard(Path("out.partial")),
        lambda: core.run_merge(plan, "out"),
        lambda: core.inspect_models("m", ["m"]),
        lambda: core.verify_output("out"),
        lambda: core.read_record("out"),
    ):
        with pytest.raises(MergeError):
            call()
