"""Inspections and merges come together cell by cell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import load_recipe, plan_inspection, plan_merge, read_record, run_merge
from core.deltas.findings import Findings, MergeName, MergeTally, findings_of_record
from core.deltas.layer_grid import LayerGrid
from core.deltas.preview import measure_plan, nothing_found, preview_plan
from core.deltas.statistics import DeltaStatistics
from core.run.record import TensorRecord
from resources import DEMO_FOLDER

Counts = tuple[int, ...]

UP = "model.layers.1.mlp.up_proj.weight"
QUERY = "model.layers.0.self_attn.q_proj.weight"
NORMS = ["model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight"]


def record(
    name: str,
    elements: int,
    zero_delta: Counts | None,
    changed_by: Counts | None = None,
    zero_after_draw: Counts | None = None,
    selected: Counts | None = None,
) -> TensorRecord:
    return TensorRecord(
        name,
        (elements,),
        "BF16",
        "merged",
        elements,
        zero_delta,
        changed_by,
        zero_after_draw,
        selected,
        nonfinite=(0, 0, 0),
        digest="",
    )


RECORDS = [
    record(UP, 14, (10, 10), (8, 4, 2), (10, 9), (8, 6)),
    record(QUERY, 6, (0, 6), (0, 6, 0), (3, 1), (5, 1)),
    record(NORMS[0], 2, (2, 2), (2, 0, 0), (2, 2), (1, 1)),
    record("linear", 5, None),
]

NAME = MergeName("parameter_selection", 1, 7)


def findings_of(records: list[TensorRecord], *, equal_weights: bool = True) -> Findings:
    grid = LayerGrid.of([UP, QUERY, *NORMS, "linear"])
    tally = MergeTally(NAME, grid, equal_weights=equal_weights)
    for tensor in records:
        tally.add(tensor)
    return tally.added_to(Findings(("a", "b"), "base", grid, equal_weights))


def test_shares_are_sums_of_counts_and_not_means_of_shares() -> None:
    part = findings_of(RECORDS).part()
    assert part.counts is not None
    assert part.counts.parameters == 22
    assert part.counts.zero_delta.value.tolist() == [12 / 22, 18 / 22]
    assert float(part.counts.mean_zero_delta.value) == pytest.approx(30 / 44)
    assert float(part.counts.mean_zero_delta.error) == 0
    assert part.drawn is not None
    assert part.drawn.elements == 22
    assert part.drawn.left.tolist() == [15 / 22, 12 / 22]
    assert part.drawn.provenance.tolist() == [14 / 22, 8 / 22]


def test_the_map_has_a_cell_for_each_layer_and_kind() -> None:
    findings = findings_of(RECORDS)
    assert [column.label for column in findings.grid.columns] == ["0", "1", "other"]
    assert findings.grid.kinds == ("attention q", "mlp up", "linear", "norms")
    nan = math.nan
    np.testing.assert_array_equal(
        findings.zero_delta.value,
        [
            [[0, 1], [nan, nan], [nan, nan], [1, 1]],
            [[nan, nan], [10 / 14, 10 / 14], [nan, nan], [nan, nan]],
            [[nan, nan]] * 4,
        ],
    )
    np.testing.assert_array_equal(findings.parameters, [[6, 0, 0, 2], [0, 14, 0, 0], [0, 0, 0, 0]])
    assert findings.mean_zero_delta.value[0, 0] == 0.5


def test_a_part_is_a_column_a_kind_or_a_cell() -> None:
    findings = findings_of(RECORDS)
    layer, kind, cell, none = findings.part(0), findings.part(None, 1), findings.part(0, 3), findings.part(2)
    assert layer.counts is not None
    assert kind.counts is not None
    assert cell.counts is not None
    assert layer.counts.parameters == 8
    assert kind.counts.parameters == 14
    assert cell.counts.total("changed_by").tolist() == [2, 0, 0]
    assert none.counts is None
    assert none.drawn is None
    assert (layer.place, cell.place) == ("layer 0", "layer 0 · norms")
    assert cell.tensors == tuple(NORMS)


def test_expected_draws_are_those_of_the_overlap() -> None:
    drawn = findings_of(RECORDS).part().drawn
    assert drawn is not None
    assert drawn.expected_left is not None
    # of 10 that nobody changed 10 and 10 stay, of 10 that one of two changed 5 and 2.5
    np.testing.assert_allclose(drawn.expected_left, [15 / 22, 12.5 / 22])
    unequal = findings_of(RECORDS, equal_weights=False).part()
    assert unequal.drawn is not None
    assert unequal.drawn.expected_left is None
    assert unequal.predicted is None


def test_a_tensor_with_fewer_draws_stays_as_it_is_after_its_last() -> None:
    short = record(NORMS[1], 4, (4, 0), (0, 4, 0), (2,), (2, 2))
    drawn = findings_of([RECORDS[0], short]).part().drawn
    assert drawn is not None
    assert drawn.expected_left is not None
    assert drawn.left.tolist() == [12 / 18, 11 / 18]
    np.testing.assert_allclose(drawn.expected_left, [12 / 18, 11 / 18])


def sampled(elements: int, of: int, zero: Counts, changed_by: Counts) -> DeltaStatistics:
    counted = DeltaStatistics.of_counts(elements, zero, changed_by, (0, 0, 0))
    return replace(counted, parameters=of, totals=counted.totals * (of / elements), tensors=2)


def test_what_a_merge_counted_of_a_whole_cell_replaces_an_estimate() -> None:
    grid = LayerGrid.of(NORMS)
    tally = MergeTally(NAME, grid, equal_weights=True)
    inspected = {(0, 0): sampled(2, 8, (1, 2), (1, 1, 0))}
    tally.add(record(NORMS[0], 4, (4, 4), (4, 0, 0), (4,), (2, 2)))
    half = tally.added_to(Findings(("a", "b"), "base", grid, True, inspected, sample=0.25))
    assert half.mean_zero_delta.value.tolist() == [[0.75]]
    assert not half.counts[0, 0].exact
    tally.add(record(NORMS[1], 4, (4, 2), (2, 2, 0), (3,), (2, 2)))
    whole = tally.added_to(half)
    assert whole.mean_zero_delta.value.tolist() == [[14 / 16]]
    assert whole.counts[0, 0].exact
    assert half.mean_zero_delta.value.tolist() == [[0.75]]


def test_a_tensor_that_shares_its_cell_is_known_from_the_merge() -> None:
    findings = findings_of(RECORDS)
    alone = findings.part_of_tensor(UP)
    assert alone.counts is not None
    assert alone.counts is findings.part(1, 1).counts
    shared = findings.part_of_tensor(NORMS[0])
    assert shared.counts is not None
    assert shared.drawn is not None
    assert shared.counts.parameters == shared.drawn.elements == 2
    assert findings.part_of_tensor(NORMS[1]).counts is None


def test_an_inspection_alone_predicts_and_has_details() -> None:
    base, *models = sorted(path.parent for path in DEMO_FOLDER.glob("*/config.json"))[:4]
    plan = plan_inspection(base, models)
    findings = measure_plan(plan)
    part = findings.part()
    assert part.details is not None
    assert part.predicted is not None
    assert part.counts is not None
    assert part.predicted.value.shape == (21,)
    assert float(part.predicted.value[0]) == pytest.approx(float(part.counts.mean_zero_delta.value))
    assert part.drawn is None
    assert nothing_found(plan).part().predicted is None


def test_findings_of_a_merge_are_those_of_its_record(tmp_path: Path) -> None:
    plan = plan_merge(load_recipe(DEMO_FOLDER / "recipe.yaml"))
    live = MergeTally(
        MergeName.of_recipe(plan.recipe), nothing_found(plan).grid, equal_weights=plan.draws_equally
    )
    run_merge(plan, tmp_path / "out", on_tensor=live.add)
    begun = live.added_to(list(preview_plan(plan, rounds=2))[-1])
    findings = findings_of_record(read_record(tmp_path / "out"))
    assert findings is not None
    assert findings.models == begun.models == tuple(f"order-{number}" for number in range(1, 9))
    assert findings.base == begun.base == "base"
    assert findings.counted is not None
    assert begun.counted is not None
    assert findings.counted.name == begun.counted.name
    assert str(findings.counted.name) == f"n = {plan.recipe.resamples}, seed {plan.recipe.seed}"
    np.testing.assert_array_equal(findings.zero_delta.value, begun.zero_delta.value)
    measured = measure_plan(plan)
    np.testing.assert_array_equal(findings.mean_zero_delta.value, measured.mean_zero_delta.value)
    one, other = findings.part().drawn, begun.part().drawn
    assert one is not None
    assert other is not None
    assert one.selected.tolist() == other.selected.tolist()
    assert one.elements == 410_688


def test_a_merge_takes_the_place_of_another_with_its_name() -> None:
    first = findings_of(RECORDS)
    other = MergeTally(replace(NAME, seed=8), first.grid, equal_weights=True)
    assert other.added_to(first).counted is None  # before it has counted anything
    other.add(RECORDS[0])
    second = other.added_to(first)
    assert second.counted is not None
    assert (second.counted.name.seed, list(second.records)) == (8, [UP])
    assert str(MergeName("parameter_selection", None, 7)) == "several n, seed 7"


def test_an_average_has_no_findings(tmp_path: Path) -> None:
    recipe = tmp_path / "linear.yaml"
    recipe.write_text(
        f"merge_method: linear\nmodels:\n  - model: {DEMO_FOLDER / 'order-1'}\n"
        f"  - model: {DEMO_FOLDER / 'order-2'}\n"
    )
    assert findings_of_record(run_merge(plan_merge(load_recipe(recipe)), tmp_path / "out")) is None
