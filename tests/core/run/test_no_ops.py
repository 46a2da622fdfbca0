"""What a merge counted that says that it did nothing: seen in merges that are made to do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from stored_models import Tensors, store

from core import plan_merge, run_merge
from core.recipe.parsing import parse_recipe
from core.run.no_ops import not_looked_at, out_of_proportion, result_warnings
from core.run.record import RunRecord

SHAPES = {"layers.0.weight": (40, 30), "layers.1.weight": (50, 30), "norm.weight": (30,)}
ELEMENTS = 40 * 30 + 50 * 30 + 30


def words(name: str) -> np.ndarray:
    random = np.random.default_rng(list(name.encode()))
    return random.integers(0x3C00, 0x3F00, SHAPES[name]).astype(np.uint16)


def merged(
    folder: Path,
    changes: Mapping[str, Mapping[str, float]],
    steps: Mapping[str, int] | None = None,
    method: str = "parameter_selection",
    weights: Mapping[str, float] | None = None,
    **more: Any,
) -> RunRecord:
    """A merge of models that changed a share of some tensors, by name."""
    for at, model in enumerate(("base", *changes)):
        tensors: dict[str, Any] = {}
        for name, shape in SHAPES.items():
            mask = np.random.default_rng(at).random(shape) < changes.get(model, {}).get(name, 0.0)
            tensors[name] = ("BF16", shape, (words(name) + mask.astype(np.uint16)).tobytes())
        tensors["steps"] = ("I64", (), int((steps or {}).get(model, 0)).to_bytes(8, "little"))
        found: Tensors = tensors
        store(folder / model, found)
    recipe = {
        "merge_method": method,
        "base_model": "base",
        "models": [
            {"model": model, "parameters": {"weight": (weights or {}).get(model, 1.0)}} for model in changes
        ],
        **more,
    }
    return run_merge(plan_merge(parse_recipe(recipe, folder)), folder / "out")


SOME = dict.fromkeys(SHAPES, 0.3)
ALL = dict.fromkeys(SHAPES, 1.0)


def test_a_merge_of_models_that_all_changed_something_says_nothing(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": SOME, "b": SOME}, parameters={"resamples": 2})
    assert result_warnings(record) == []
    (unseen,) = not_looked_at(record)
    assert unseen.startswith("whether a task vector is out of proportion to the others, or orthogonal")
    assert not_looked_at(merged(tmp_path / "alone", {"a": SOME})) == ()


def test_a_model_that_is_the_base(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": SOME, "b": {}, "c": SOME}, steps={"b": 7})
    assert result_warnings(record) == [
        f"b is the base in every merged number: 100.0 % of its {ELEMENTS:,} deltas are zero; 1 copied "
        "tensor of it differs, and the base's were taken"
    ]


def test_nobody_changed_anything(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": {}, "b": {}})
    assert result_warnings(record) == [
        f"no sub-model changed anything: all {ELEMENTS:,} merged numbers of each are the base's, and so is "
        "the result"
    ]


def test_a_tolerance_is_said(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": SOME, "b": SOME}, zero_tolerance=1000.0)
    (sentence,) = result_warnings(record)
    assert "are the base's up to the zero_tolerance of 1000, and" in sentence


def test_one_model_is_all_of_the_result(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": SOME, "b": SOME}, weights={"a": 0.0})
    assert result_warnings(record) == [f"the result is b: all {ELEMENTS:,} merged numbers were taken from it"]


def test_one_model_that_alone_changed_something_is_all_of_the_result(tmp_path: Path) -> None:
    changes = {"a": SOME, "b": {}}
    record = merged(tmp_path / "1", changes, parameters={"resamples": 60})
    said = result_warnings(record)
    changed = sum(tensor.elements - tensor.zero_delta[0] for tensor in record.tensors if tensor.zero_delta)
    assert said[1:] == [
        f"the result is a: nobody else changed anything, and all {changed:,} numbers that "
        "it changed were taken"
    ]
    result, a = (load_file(tmp_path / "1" / name / "model.safetensors") for name in ("out", "a"))
    assert all(result[name].equal(a[name]) for name in SHAPES)
    # With one draw half of what it changed is the base's.
    assert len(result_warnings(merged(tmp_path / "2", changes))) == 1


def test_tensors_that_nobody_changed(tmp_path: Path) -> None:
    frozen = {"layers.0.weight": 0.3, "norm.weight": 0.3}
    record = merged(tmp_path, {"a": frozen, "b": frozen})
    assert result_warnings(record) == [
        "1 of 3 merged tensors, with 54.9 % of the numbers, are the base's in every sub-model, as "
        "'layers.1.weight'"
    ]


def test_a_few_small_tensors_that_nobody_changed_are_nothing_special(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": SOME, "b": SOME})
    first = next(tensor for tensor in record.tensors if tensor.name == "layers.0.weight")
    large = [replace(first, name=f"layers.{at}.weight") for at in range(20)]
    idle = replace(first, name="norm", elements=4, zero_delta=(4, 4), changed_by=(4, 0, 0), selected=(2, 2))
    assert result_warnings(replace(record, tensors=(*large, idle))) == []
    assert (
        len(
            result_warnings(
                replace(record, tensors=(*large, *(replace(idle, name=str(n)) for n in range(24))))
            )
        )
        == 1
    )


def test_a_method_that_counts_nothing_says_that_nothing_was_looked_at(tmp_path: Path) -> None:
    record = merged(tmp_path, {"a": {}, "b": {}}, method="linear")
    assert result_warnings(record) == []
    _, unseen = not_looked_at(record)
    assert unseen == (
        "whether a sub-model is equal to the base was not looked at: linear does not count deltas, which "
        "`paramosaic inspect` does"
    )


# -- task vectors that are not like the others


def cosines(*rows: list[float]) -> list[list[float]]:
    return [list(row) for row in rows]


LIKE = cosines([1, 0.3, 0.3], [0.3, 1, 0.3], [0.3, 0.3, 1])


@pytest.mark.parametrize(
    ("norms", "said"),
    [
        ([1.0, 1.5, 2.0], []),
        ([1.0, 1.2, 30.0], ["the task vector of c is 25 times as long as is usual here"]),
        (
            [1.0, 1.2, 0.01],
            ["the task vector of c is 0.01 times as long as is usual here"],
        ),
        ([0.0, 1.0, 1.0], []),  # that it is the base is said elsewhere
        ([float("nan"), 1.0, 1.0], []),
    ],
)
def test_lengths_out_of_proportion(norms: list[float], said: list[str]) -> None:
    found = out_of_proportion("abc", norms, LIKE, "1.2 % of all elements")
    assert [sentence.split(" (")[0] for sentence in found] == said
    assert all("in 1.2 % of all elements" in sentence for sentence in found)


def test_two_models_are_compared_with_each_other() -> None:
    found = out_of_proportion(["a", "b"], [1.0, 20.0], cosines([1, 0.0], [0.0, 1]), "all elements")
    assert [sentence.split(" (")[0] for sentence in found] == [
        "the task vector of b is 20 times as long as the other one"
    ]


def test_one_that_goes_its_own_way() -> None:
    apart = cosines([1, 0.3, 0.01], [0.3, 1, -0.015], [0.01, -0.015, 1])
    (sentence,) = out_of_proportion("abc", [1.0, 1.0, 1.0], apart, "all elements")
    assert sentence.startswith(
        "the task vector of c is nearly orthogonal to all others: cosines of at most 0.015"
    )
    assert "0.30" in sentence
    # Where nobody goes with anybody, it is no sign of anything.
    nobody = cosines([1, 0.0, 0.01], [0.0, 1, 0.0], [0.01, 0.0, 1])
    assert out_of_proportion("abc", [1.0, 1.0, 1.0], nobody, "all elements") == []
    assert out_of_proportion(["a"], [1.0], cosines([1]), "all elements") == []
