"""Odd surroundings: pipes for files, read-only installs, dead displays, tokens that are shared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import (
    CancelToken,
    VerificationError,
    load_recipe,
    parse_recipe,
    plan_merge,
    run_merge,
    verify_output,
)
from core.errors import CheckpointError, IncompatibleError, RecipeError
from gui.display import has_display
from resources import DEMO_FOLDER

ROOT = Path(__file__).parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="a matter of POSIX systems")


@posix
def test_a_named_pipe_is_refused_and_not_waited_for(workshop: Any) -> None:
    recipe = workshop.trio()
    model = next(workshop.folder.rglob("model.safetensors"))
    model.unlink()
    os.mkfifo(model)
    with pytest.raises(CheckpointError, match="is not a file"):
        plan_merge(load_recipe(recipe))


def test_a_failed_check_does_not_cancel_its_callers_token(workshop: Any) -> None:
    out = workshop.folder / "out"
    run_merge(plan_merge(load_recipe(workshop.trio())), out)
    shard = out / "model.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    token = CancelToken()
    with pytest.raises(VerificationError, match="digest differs"):
        verify_output(out, cancel=token)
    assert not token.cancelled


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"model": {"path": "a", "revision": "x"}}, "revision"),
        ({"model": {"path": "a"}, "override_architecture": "X"}, "override_architecture"),
    ],
)
def test_what_mergekits_long_reference_asks_for_is_not_dropped(entry: dict, key: str) -> None:
    with pytest.raises(RecipeError, match=key):
        parse_recipe({"merge_method": "linear", "models": [{"model": entry}]}, Path("/x"))


def test_the_adapter_of_mergekits_long_reference_is_not_dropped() -> None:
    entry = {"model": {"path": "a"}, "lora": {"path": "b"}}
    recipe = parse_recipe({"merge_method": "linear", "models": [{"model": entry}]}, Path("/x"))
    assert recipe.models[0].path == Path("/x/a+/x/b")


def test_mergekits_long_reference_names_a_folder() -> None:
    recipe = parse_recipe(
        {"merge_method": "linear", "models": [{"model": {"model": {"path": "a"}}}]}, Path("/x")
    )
    assert recipe.models[0].path == Path("/x/a")


def test_the_tokenizer_of_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    data = {
        "merge_method": "linear",
        "models": [{"model": str(DEMO_FOLDER / "order-1")}],
        "tokenizer_source": str(tmp_path / "other"),
    }
    with pytest.raises(IncompatibleError, match="gpt2"):
        plan_merge(parse_recipe(data, tmp_path))


def test_nonfinite_complex_numbers_are_counted_where_they_are_copied(tmp_path: Path) -> None:
    for name, value in (("base", 1 + 1j), ("model", complex("nan"))):
        (tmp_path / name).mkdir()
        tensors = {"c": torch.full((3,), value, dtype=torch.complex64), "w": torch.ones(2)}
        save_file(tensors, tmp_path / name / "model.safetensors")
    data = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "model"}]}
    record = run_merge(plan_merge(parse_recipe(data, tmp_path)), tmp_path / "out")
    copied = next(tensor for tensor in record.tensors if tensor.name == "c")
    assert copied.nonfinite == (3, 0)
    assert copied.differs_in == ("model",)
    with pytest.raises(CheckpointError, match="NaN"):
        run_merge(plan_merge(parse_recipe(data | {"nonfinite": "error"}, tmp_path)), tmp_path / "none")


@pytest.mark.parametrize(
    "value",
    [
        "/home/jane doe/My Models/llama",
        "see /home/jane/x/y for data",
        "/scratch",
        "~jane/models",
        r"C:\Users\jane\models",
        "file:///data/x",
    ],
)
def test_no_path_goes_into_a_config_however_it_is_written(tmp_path: Path, value: str) -> None:
    shutil.copytree(DEMO_FOLDER / "order-1", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config |= {
        "origin": value,
        "list": [value, "kept"],
        "homepage": "https://example.org/a/b",
        "ratio": "3/4",
    }
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    data = {"merge_method": "linear", "models": [{"model": "model"}]}
    run_merge(plan_merge(parse_recipe(data, tmp_path)), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "origin" not in written
    assert written["list"] == ["kept"]
    assert (written["homepage"], written["ratio"]) == ("https://example.org/a/b", "3/4")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays of Linux")
def test_a_display_that_does_not_answer_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("DISPLAY", ":1234")
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-that-is-not-there")
    assert not has_display()


@posix
@pytest.mark.slow
def test_a_read_only_install_with_no_home_can_merge(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "access = os.access\n"
        "os.access = lambda path, mode, **rest: not mode & os.W_OK and access(path, mode, **rest)\n"
        "import core.kernels\n"
        "place = os.environ['NUMBA_CACHE_DIR']\n"
        "assert os.stat(place).st_mode & 0o777 == 0o700\n"
        "os.access = access\n"
        "from core import *\n"
        f"plan = plan_merge(load_recipe({str(DEMO_FOLDER / 'recipe.yaml')!r}))\n"
        f"run_merge(plan, {str(tmp_path / 'merged')!r})\n"
        "assert any(files for _, _, files in os.walk(place))\n"
    )
    environment = {"HOME": "/proc/nobody", "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert verify_output(tmp_path / "merged").tensors > 0


def test_refusals_come_before_compilation(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom core import *\n"
        f"plan = plan_merge(load_recipe({str(DEMO_FOLDER / 'recipe.yaml')!r}))\n"
        f"try:\n    run_merge(plan, {str(tmp_path / ('x' * 255))!r})\n"
        "except MergeError as error:\n    print(error.message)\n"
        "assert not {'numba', 'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "cannot make the folder" in done.stdout
    assert np.array(list(tmp_path.iterdir())).size == 0
