"""What leaves the engine: MergeErrors, with a hint against what the system refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import core
from core.errors import MergeError, merge_errors_only
from core.runs.comparison import compare_runs
from core.runs.history import History

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENAMETOOLONG, "a shorter name"),
        (errno.ENOSPC, "free some space"),
        (errno.ENOMEM, "fewer threads"),
        (errno.EIO, None),
    ],
)
def test_an_error_of_the_system_has_a_hint(number: int, hint: str | None) -> None:
    with pytest.raises(MergeError) as caught:
        raise MergeError("cannot read x") from OSError(number, os.strerror(number))
    assert (caught.value.hint is None) if hint is None else (hint in (caught.value.hint or ""))
    with pytest.raises(MergeError) as caught:
        raise MergeError("cannot read x", hint="of its own") from OSError(number, os.strerror(number))
    assert caught.value.hint == "of its own"


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "xx"), "xx: File name too long", "shorter"),
        (MemoryError(), "not enough memory", "fewer threads"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory", "fewer threads"),
        (RuntimeError("can't start new thread"), "no more threads", "fewer threads"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory", "fewer"),
        (UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed"), "'\\udc80'", "name"),
        (ValueError("embedded null byte"), "null character", "name"),
    ],
    ids=repr,
)
def test_what_nobody_put_into_words(error: Exception, said: str, hint: str) -> None:
    with pytest.raises(MergeError) as caught, merge_errors_only():
        raise error
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RuntimeError("x"), ImportError("x")])
def test_faults_of_the_program_stay_faults(error: Exception) -> None:
    with pytest.raises(type(error)), merge_errors_only():
        raise error


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m").mkdir()
    save_file({"w": np.ones((2, 2), np.float16)}, tmp_path / "m" / "model.safetensors")
    return tmp_path / "m"


NAMES = ["a\0b", "\udc80", "x" * 300, "x/" * 3000, "a/\0/b", "/dev/null/x", "/proc/self/mem"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_names_that_the_system_refuses(tmp_path: Path, model: Path, name: str) -> None:
    linear = {"merge_method": "linear", "models": [{"model": str(model)}]}
    plan = core.plan_merge(core.parse_recipe(linear, tmp_path))
    calls: list[Callable[[], Any]] = [
        lambda: core.load_recipe(name),
        lambda: core.run_merge(plan, tmp_path / name if not name.startswith("/") else name),
        lambda: core.verify_output(name),
        lambda: core.read_record(name),
        lambda: core.inspect_models(model, [name]),
        lambda: core.inspect_models(name, [model]),
        lambda: compare_runs(name, name),
        lambda: core.plan_merge(core.parse_recipe(linear | {"base_model": name}, tmp_path)),
        lambda: core.plan_merge(core.parse_recipe(linear | {"models": [{"model": name}]}, tmp_path)),
        lambda: core.plan_merge(core.parse_recipe(linear | {"tokenizer_source": name}, tmp_path)),
    ]
    for call in calls:
        with pytest.raises(MergeError) as caught:
            call()
        assert caught.value.message
    with pytest.raises(MergeError) if name != "\udc80" else pytest.raises(FileNotFoundError):
        if not History(name).read().entries:  # one that is not there is empty
            raise FileNotFoundError


@pytest.mark.parametrize(
    "device", ["cuda:99999999999999999999", "cuda:-1", "cuda:", "", "\0", "\udc80", "cuda:１"]
)
def test_devices_of_nonsense(tmp_path: Path, model: Path, device: str) -> None:
    linear = {"merge_method": "linear", "models": [{"model": str(model)}]}
    plan = core.plan_merge(core.parse_recipe(linear, tmp_path))
    with pytest.raises(core.DeviceError, match="is not known"):
        core.run_merge(plan, tmp_path / "out", device=device)


@pytest.mark.parametrize("weights", [("x",), (10**400,), (float("nan"),), (), (None,)])
def test_weights_of_nonsense(model: Path, weights: Any) -> None:
    with pytest.raises(MergeError):
        core.inspect_models(model, [model], weights=weights)


@pytest.mark.parametrize("sample", [0, -1, 2, float("nan"), float("inf")])
def test_samples_of_nonsense(model: Path, sample: float) -> None:
    with pytest.raises(MergeError, match="fraction"):
        core.inspect_models(model, [model], sample=sample)


def test_any_number_of_threads(tmp_path: Path, model: Path) -> None:
    linear = {"merge_method": "linear", "models": [{"model": str(model)}]}
    plan = core.plan_merge(core.parse_recipe(linear, tmp_path))
    assert core.run_merge(plan, tmp_path / "out", threads=10**30).bytes_read == 8


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems count otherwise")
def test_too_few_open_files(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"m{number}").mkdir()
        weights = {"w": np.full((2, 2), number, np.float16)}
        save_file(weights, tmp_path / f"m{number}" / "model.safetensors")
    script = f"""
import pathlib, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
import core
folder = pathlib.Path({str(tmp_path)!r})
models = [{{"model": f"m{{number}}"}} for number in range(30)]
recipe = core.parse_recipe({{"merge_method": "linear", "models": models}}, folder)
try:
    core.run_merge(core.plan_merge(recipe), folder / "out", threads=1)
except core.MergeError as error:
    print(error.message, "|", error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Too many open files" in done.stdout, done.stderr
    assert "up to 288 open files: allow them with `ulimit -n 288`, or use fewer threads" in done.stdout
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems count otherwise")
@pytest.mark.parametrize("megabytes", [200, 300, 400, 500, 600, 700])
def test_too_little_address_space(tmp_path: Path, model: Path, megabytes: int) -> None:
    (tmp_path / "recipe.yaml").write_text("merge_method: linear\nmodels:\n- model: m\n")
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({megabytes} * 10**6,) * 2)
from gui.entry import main
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "merge", tmp_path / "recipe.yaml", "--out", tmp_path / "out"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.stderr.startswith("error: there is not enough memory\nhint: use fewer threads")
        assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
