"""The maps of two runs, one minus the other, by hand and on real merges."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from core import RunRecord, TensorRecord, load_recipe, plan_merge, read_record, run_merge
from core.run.record import InputRecord
from core.runs.comparison import TensorDifference, compare_runs
from core.runs.difference import difference_of_runs
from resources import DEMO_FOLDER

UP = "model.layers.0.mlp.up_proj.weight"
QUERY = "model.layers.1.self_attn.q_proj.weight"


def tensor(
    name: str, zero: tuple[int, int], left: tuple[int, ...], selected: tuple[int, int]
) -> TensorRecord:
    changed = (0, 20 - sum(zero), sum(zero) // 2)
    return TensorRecord(name, (10,), "BF16", "merged", 10, zero, changed, left, selected, (0, 0, 0), "")


def record(models: tuple[str, str], *tensors: TensorRecord) -> RunRecord:
    recipe = {"merge_method": "parameter_selection", "models": [{"model": model} for model in models]}
    inputs = (InputRecord("base", "base", ()), *(InputRecord(model, "sub-model", ()) for model in models))
    return RunRecord(recipe, inputs, {}, "cpu", 1.0, 0, 0, tensors)


def test_maps_are_left_minus_right_by_hand() -> None:
    left = record(("a", "b"), tensor(UP, (4, 6), (5, 4), (7, 3)), tensor(QUERY, (10, 0), (5,), (5, 5)))
    right = record(("b", "c"), tensor(UP, (4, 4), (5, 5, 1), (2, 8)))
    difference = difference_of_runs(left, right)
    assert [column.label for column in difference.grid.columns] == ["0", "1"]
    assert difference.grid.kinds == ("attention q", "mlp up")
    assert list(difference.maps) == [
        "Left as in the base",
        "Zero deltas, mean",
        "Zero deltas, spread",
        "Taken from b",
        "Zero deltas of b",
    ]
    nan = math.nan
    np.testing.assert_allclose(difference.maps["Left as in the base"], [[nan, 0.4 - 0.1], [nan, nan]])
    np.testing.assert_allclose(difference.maps["Taken from b"], [[nan, 0.3 - 0.2], [nan, nan]])
    np.testing.assert_allclose(difference.maps["Zero deltas of b"], [[nan, 0.6 - 0.4], [nan, nan]])
    np.testing.assert_allclose(difference.maps["Zero deltas, spread"], [[nan, 0.2 - 0.0], [nan, nan]])
    assert difference.draws is not None
    np.testing.assert_allclose(difference.draws, [[0.0, 0.4 - 0.5, 0.4 - 0.1], [nan] * 3], atol=1e-15)
    assert difference.elements is None
    assert np.isnan(difference.share).all()


def test_what_only_one_run_has_is_not_compared() -> None:
    left = record(("a", "b"), tensor("shared.weight", (4, 6), (5,), (7, 3)), tensor(UP, (4, 4), (5,), (7, 3)))
    right = record(("a", "b"), tensor("model.embed_tokens.weight", (4, 6), (1,), (7, 3)))
    right = replace(right, tensors=(*right.tensors, replace(tensor(UP, (4, 4), (1,), (7, 3)), elements=9)))
    difference = difference_of_runs(left, right)
    assert (difference.maps, difference.draws, difference.unlike) == ({}, None, "")


def test_runs_that_do_not_fit_say_how() -> None:
    left = record(("a", "b"), tensor(UP, (4, 6), (5,), (7, 3)))
    other = record(("a", "b"), tensor(QUERY, (4, 6), (5,), (7, 3)))
    assert difference_of_runs(left, other).unlike == "names"
    wider = record(("a", "b"), replace(tensor(UP, (4, 6), (5,), (7, 3)), shape=(2, 5)))
    assert difference_of_runs(left, wider).unlike == "shapes"


def test_one_model_has_no_spread() -> None:
    one = record(("a",), tensor(UP, (4,), (5,), (10,)))  # type: ignore[arg-type]
    assert "Zero deltas, spread" not in difference_of_runs(one, one).maps
    assert "Zero deltas, mean" in difference_of_runs(one, one).maps


def test_elements_are_summed_by_layer_and_kind() -> None:
    both = record(("a", "b"), tensor(UP, (4, 6), (5, 4), (7, 3)), tensor(QUERY, (10, 0), (5,), (5, 5)))
    other = replace(both, tensors=(*both.tensors, tensor("odd", (1, 1), (1,), (5, 5))))
    tensors = (
        TensorDifference(UP, 10, 3),
        TensorDifference(QUERY, 10, 0),
        TensorDifference("odd", 10, None, "only in right"),
    )
    difference = difference_of_runs(both, other, tensors)
    cells = difference.grid.cell_of
    assert difference.differ is not None
    assert difference.share[cells[UP]] == 0.3
    assert difference.share[cells[QUERY]] == 0.0
    assert np.isnan(difference.share[cells["odd"]])
    assert difference.differ.sum() == 3
    assert [tensor.name for tensor in difference.not_compared] == ["odd"]


def test_methods_that_look_at_no_deltas_have_elements_only() -> None:
    plain = TensorRecord(UP, (10,), "BF16", "merged", 10, None, None, None, None, (0, 0, None), "")
    left = replace(record(("a", "b"), plain), recipe={"merge_method": "linear", "models": []})
    difference = difference_of_runs(left, left, (TensorDifference(UP, 10, 4),))
    assert difference.maps == {}
    assert difference.share.tolist() == [[0.4]]


def test_two_seeds_of_the_demo_differ_where_their_files_do(tmp_path: Path) -> None:
    recipe = load_recipe(DEMO_FOLDER / "recipe.yaml")
    for seed in (1, 2):
        run_merge(plan_merge(replace(recipe, seed=seed)), tmp_path / f"seed-{seed}")
    compared = compare_runs(tmp_path / "seed-1", tmp_path / "seed-2")
    difference = difference_of_runs(compared.left, compared.right, compared.tensors)
    one, other = (load_file(tmp_path / f"seed-{seed}" / "model.safetensors") for seed in (1, 2))
    assert difference.differ is not None
    for cell, names in difference.grid.tensors.items():
        expected = sum(int((one[name].view(-1) != other[name].view(-1)).sum()) for name in names)
        assert difference.differ[cell] == expected
    np.testing.assert_array_equal(difference.maps["Zero deltas, mean"][np.isfinite(difference.share)], 0)
    left = [sum(t.zero_after_draw[-1] for t in r.tensors) for r in (compared.left, compared.right)]
    total = sum(t.elements for t in compared.left.tensors)
    weights = np.array([[0 if e is None else e for e in row] for row in difference.elements])
    found = np.nansum(difference.maps["Left as in the base"] * weights) / total
    assert found == pytest.approx((left[0] - left[1]) / total)
    assert read_record(tmp_path / "seed-1").tensors == compared.left.tensors
