"""Two runs side by side: what is counted is what a reader of both files would count."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_records import change_record
from safetensors.torch import load_file

from core import (
    Cancelled,
    CancelToken,
    CheckpointError,
    MergeError,
    VerificationError,
    parse_recipe,
    plan_merge,
    read_record,
    run_merge,
)
from core.runs import comparison
from core.runs.comparison import RunComparison, compare_runs

ROOT = Path(__file__).parents[2]
SHAPES = {
    "model.embed_tokens.weight": (64, 8),
    "empty": (0, 5),
    "model.layers.0.mlp.up_proj.weight": (1300, 900),  # more than two chunks
    "model.norm.weight": (8,),
    "scalar": (),
}


@pytest.fixture
def merge(workshop: Any) -> Callable[..., Path]:
    """Merges two sub-models with what the recipe is given, and returns the output folder."""
    for seed, name in enumerate(("base", "a", "b")):
        workshop.model(name, seed=seed, shapes=SHAPES)

    def merged(name: str, *, shard: int = 10**9, resamples: int = 2, **recipe: Any) -> Path:
        data = {
            "merge_method": "parameter_selection",
            "base_model": "base",
            "models": [{"model": "a"}, {"model": "b"}],
            **recipe,
        }
        if data["merge_method"] == "parameter_selection":
            data["parameters"] = {"resamples": resamples}
        plan = plan_merge(parse_recipe(data, workshop.folder), shard_size_bytes=shard)
        run_merge(plan, workshop.folder / name, device="cpu")
        return workshop.folder / name

    return merged


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def differing(left: torch.Tensor, right: torch.Tensor) -> int:
    """Of BF16 tensors the words that differ, of others the numbers; there are no NaNs."""
    if left.dtype == right.dtype == torch.bfloat16:
        left, right = left.view(torch.int16), right.view(torch.int16)
    return int((left.double() != right.double()).sum())


def check(left: Path, right: Path, **options: Any) -> RunComparison:
    """Compare two outputs with the same tensors in both directions, and count for oneself."""
    one, other = tensors_of(left), tensors_of(right)
    found = compare_runs(left, right, **options)
    counted = {tensor.name: tensor.differ for tensor in found.tensors}
    assert counted == {name: differing(one[name], other[name]) for name in one}
    assert list(counted) == [tensor.name for tensor in read_record(left).tensors]
    assert {tensor.name: tensor.elements for tensor in found.tensors} == {
        name: tensor.numel() for name, tensor in one.items()
    }
    assert found.elements == sum(tensor.numel() for tensor in one.values())
    assert found.differ == sum(differ for differ in counted.values() if differ is not None)
    assert (found.left, found.right) == (read_record(left), read_record(right))
    back = compare_runs(right, left, **options)
    assert {tensor.name: tensor.differ for tensor in back.tensors} == counted
    return found


# -- what is counted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param({"seed": 1}, {"seed": 2}, id="seeds"),
        pytest.param({"resamples": 0}, {"resamples": 4}, id="n"),
        pytest.param({"merge_method": "linear"}, {}, id="methods"),
        pytest.param(
            {"merge_method": "linear", "out_dtype": "float32"}, {"merge_method": "linear"}, id="F32"
        ),
        pytest.param({"out_dtype": "float16"}, {"seed": 1}, id="F16"),
        pytest.param({"seed": 1, "shard": 1000}, {"seed": 2}, id="layouts"),
    ],
)
@pytest.mark.parametrize("threads", [1, 4])
def test_counts_are_those_of_the_files(
    merge: Callable[..., Path], left: dict[str, Any], right: dict[str, Any], threads: int
) -> None:
    found = check(merge("left", **left), merge("right", **right), threads=threads)
    assert 0 < found.differ < found.elements


def test_other_layouts_of_the_same_values(merge: Callable[..., Path]) -> None:
    left, right = merge("left", shard=1000), merge("right")
    assert len(list(left.glob("*.safetensors"))) > 1
    assert check(left, right).differ == 0


# -- what is read --------------------------------------------------------------------------------------------


def bytes_read() -> int:
    """By this process so far, whoever asked for them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_equal_tensors_are_not_read(merge: Callable[..., Path]) -> None:
    left, same, other = merge("left"), merge("same", shard=1000), merge("other", seed=5)
    size = 2 * 1300 * 900
    before = bytes_read()
    assert compare_runs(left, left).differ == compare_runs(left, same).differ == 0
    assert bytes_read() - before < size / 10
    assert compare_runs(left, other).differ > 0
    assert bytes_read() - before > 2 * size


def test_nothing_heavy_is_imported_where_nothing_is_read(merge: Callable[..., Path]) -> None:
    script = """
import sys
from core.runs.comparison import compare_runs
assert compare_runs(sys.argv[1], sys.argv[2]).differ == 0
assert not {"torch", "numba", "transformers"} & set(sys.modules)
"""
    command = [sys.executable, "-c", script, str(merge("left")), str(merge("right"))]
    subprocess.run(command, cwd=ROOT, check=True)


# -- refusals ------------------------------------------------------------------------------------------------


def edit_entry(out: Path, **values: Any) -> None:
    """Change what the record says of the first tensor."""
    change_record(out, lambda record: record["tensors"][0].update(values))


def record_one_more(out: Path) -> None:
    change_record(out, lambda record: record["tensors"].append(record["tensors"][0] | {"name": "more"}))


def edit_weights(out: Path, change: Callable[[bytes], bytes]) -> None:
    file = out / "model.safetensors"
    file.write_bytes(change(file.read_bytes()))


def put_a_file_there(out: Path) -> None:
    shutil.rmtree(out)
    out.write_bytes(b"")


FIRST = "model.embed_tokens.weight"
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "moved": (lambda out: out.rename(out.with_name("away")), "{out} does not exist"),
    "a file": (put_a_file_there, "{out} is not a folder"),
    "no record": (lambda out: (out / "paramosaic.json").unlink(), "{out} holds no run record"),
    "no weights": (lambda out: (out / "model.safetensors").unlink(), "{out} holds no model"),
    "renamed": (
        lambda out: edit_entry(out, name="x"),
        f"tensor '{FIRST}' of {{out}} is not in its run record",
    ),
    "lost": (record_one_more, "tensor 'more' of the run record is missing in {out}"),
    "shape": (
        lambda out: edit_entry(out, shape=[8, 64]),
        f"tensor '{FIRST}' of {{out}}/model.safetensors is BF16 [64, 8], and its record says BF16 [8, 64]",
    ),
    "dtype": (
        lambda out: edit_weights(out, lambda data: data.replace(b'"BF16"', b'"F16" ', 1)),
        f"tensor '{FIRST}' of {{out}}/model.safetensors is F16 [64, 8], and its record says BF16 [64, 8]",
    ),
    "digest": (lambda out: edit_entry(out, digest="0" * 32), f"tensor '{FIRST}' is the same in "),
    "truncated": (
        lambda out: edit_weights(out, lambda data: data[:-1]),
        "{out}/model.safetensors is truncated",
    ),
    "longer": (lambda out: edit_weights(out, lambda data: data + b"1"), "1 bytes at its end belong to no"),
    "no header": (lambda out: edit_weights(out, lambda data: data[:5]), "it has only 5 bytes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_changed_folder_is_refused(workshop: Any, merge: Callable[..., Path], damage: str) -> None:
    whole, out = merge("whole"), merge("out")
    change, said = DAMAGES[damage]
    change(out)
    before = workshop.snapshot()
    for both in ((whole, out), (out, whole)):
        with pytest.raises(MergeError) as caught:
            compare_runs(*both)
        assert said.format(out=out) in caught.value.message
        assert caught.value.hint
        assert caught.value.path
        assert isinstance(caught.value, VerificationError | CheckpointError)
    assert workshop.snapshot() == before


def test_a_file_that_is_cut_short_meanwhile(
    merge: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = merge("left"), merge("right", seed=2)
    before = threading.active_count()

    def cut(*arguments: Any) -> int:
        edit_weights(right, lambda data: data[:2000])
        return 0

    monkeypatch.setattr(comparison, "_count", cut)
    with pytest.raises(CheckpointError, match=r"right/model\.safetensors (ended before|has changed)"):
        compare_runs(left, right)
    assert threading.active_count() == before


def test_cancelling(workshop: Any, merge: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = merge("left"), merge("right", seed=2)
    before, token = workshop.snapshot(), CancelToken()
    counted = []

    def cancel(*arguments: Any) -> int:
        counted.append(1)
        token.cancel()
        return 0

    monkeypatch.setattr(comparison, "_count", cancel)
    with pytest.raises(Cancelled):
        compare_runs(left, right, threads=1, cancel=token)
    assert len(counted) == 1
    with pytest.raises(Cancelled):  # before it looks at anything
        compare_runs(workshop.folder / "gone", right, cancel=token)
    assert workshop.snapshot() == before


def test_nothing_is_written(workshop: Any, merge: Callable[..., Path]) -> None:
    left, right = merge("left"), merge("right", seed=2)
    before = workshop.snapshot()
    compare_runs(left, right)
    assert workshop.snapshot() == before
