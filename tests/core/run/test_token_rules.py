"""Rows that some models lack: weights, resamples, counts, and what other methods leave out of their sums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_merges import VOCABULARY, WORDS, check_average, check_selection, merge, recipe, union_of
from token_models import EMBEDDING, Model, average

from core import plan_merge
from core.deltas.findings import findings_of_record
from core.deltas.preview import measure_plan
from core.errors import MergeError
from core.recipe.parsing import parse_recipe

SHORT = WORDS[:60]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def made(place: Path) -> tuple[Model, list[Model]]:
    """A base, and fine-tunes that lack some of its tokens and have some of their own, alone and together."""
    base = Model.make(place / "base", SHORT, 64, seed=0)
    of = (
        [*SHORT[:50], "<a>", "<b>"],
        [*SHORT[:20], *SHORT[25:], "<b>", "<c>"],
        [*SHORT[::-1], "<a>", "<c>"],
    )
    return base, [Model.make(place / f"m{at}", own, seed=at + 1, near=base) for at, own in enumerate(of)]


def weighted(models: Sequence[Model], base: Model, weights: Sequence[float], method: str, **more: Any) -> Any:
    data = recipe(models, base, method, vocab="union", parameters=more)
    for entry, weight in zip(data["models"], weights, strict=True):
        entry["parameters"] = {"weight": weight}
    return data


@pytest.mark.parametrize(
    ("resamples", "weights"), [(0, [1, 1, 1]), (1, [0, 2.5, 0.3]), (4, [1, 0, 0]), (4, [0.1, 0.2, 0.7])]
)
def test_selection(
    made: tuple[Model, list[Model]], place: Path, tmp_path: Path, resamples: int, weights: list[float]
) -> None:
    base, models = made
    data = weighted(models, base, weights, "parameter_selection", resamples=resamples)
    merged, record, _ = merge(tmp_path, data, place=place)
    check_selection(merged, record, union_of(base, models), base, models, resamples, weights)


def test_what_comes_to_selection_selects_there_too(
    made: tuple[Model, list[Model]], place: Path, tmp_path: Path
) -> None:
    """Of rows that some lack, too."""
    base, models = made
    data = weighted(models, base, [1, 2, 0.5], "task_vectors", combine="selection", resamples=2)
    merged, record, _ = merge(tmp_path, data, place=place)
    check_selection(merged, record, union_of(base, models), base, models, 2, [1, 2, 0.5])


@pytest.mark.parametrize("weights", [[0.1, 0.2, 0.7], [3, -1, 0], [1, 1, 1]])
def test_an_average(
    made: tuple[Model, list[Model]], place: Path, tmp_path: Path, weights: list[float]
) -> None:
    base, models = made
    if 0 in weights:  # nobody but the last has these, and so their weights sum up to nothing
        models = [models[0], models[2], Model.make(place / "as-base", SHORT, seed=9, near=base)]
    merged, *_ = merge(tmp_path, weighted(models, base, weights, "linear"), place=place)
    check_average(merged, union_of(base, models), base, models, weights)


def test_without_normalising_the_rest_is_normalised(
    made: tuple[Model, list[Model]], place: Path, tmp_path: Path
) -> None:
    base, models = made
    weights = [0.5, 2, 0.25]
    data = weighted(models, base, weights, "linear", normalize=False)
    merged, *_ = merge(tmp_path, data, place=place)
    for name in VOCABULARY:
        for number, token in enumerate(union_of(base, models)):
            rows = [model.row(name, token, number) for model in models]
            there = [(row, weight) for row, weight in zip(rows, weights, strict=True) if row is not None]
            if len(there) == 3:
                wanted = sum(np.float64(weight) * row.astype(np.float64) for row, weight in there)
                np.testing.assert_array_equal(merged[name][number], wanted.astype(np.float32))
            elif there:
                wanted = average([row for row, _ in there], [weight for _, weight in there])
                np.testing.assert_array_equal(merged[name][number], wanted)


@pytest.mark.parametrize("normalize", [True, False])
def test_weights_that_sum_up_to_nothing_are_refused_by_name(
    made: tuple[Model, list[Model]], place: Path, normalize: bool
) -> None:
    base, models = made
    data = weighted(models, base, [1, -1, 4], "linear", normalize=normalize)
    with pytest.raises(
        MergeError, match=r"rows of tensor 'model.embed_tokens.weight' that only some of the sub-models"
    ):
        plan_merge(parse_recipe(data, place))


@pytest.mark.parametrize(
    ("method", "values", "count"),
    [("task_arithmetic", {"weight": 0.7, "lambda": 0.5, "normalize": True}, 3), ("slerp", {"t": 0.3}, 1)],
)
def test_another_method(
    made: tuple[Model, list[Model]],
    place: Path,
    tmp_path: Path,
    method: str,
    values: dict[str, Any],
    count: int,
) -> None:
    """As if the models had no other tokens; the rest is averaged with equal weights."""
    base, models = made[0], made[1][:count]
    data = recipe(models, base, method, parameters=values)
    merged, *_ = merge(tmp_path, data | {"vocab": "union"}, place=place)
    tokens = union_of(base, models)
    of_all = [token for token in SHORT if all(token in model.tokens for model in models)]
    for model in (base, *models):
        own = Model.make(tmp_path / model.folder.name, of_all, seed=0)
        own.tensors |= {
            name: np.stack([model.row(name, token, 0) for token in of_all]) for name in VOCABULARY
        }
        own.save()
    short, *_ = merge(tmp_path, data, to="short")
    for name in VOCABULARY:
        for at, token in enumerate(of_all):
            np.testing.assert_array_equal(merged[name][tokens.index(token)], short[name][at])
        for number, token in enumerate(tokens):
            rows = [row for model in models if (row := model.row(name, token, number)) is not None]
            if rows and token not in of_all:
                np.testing.assert_array_equal(merged[name][number], average(rows, [1.0] * len(rows)))


@pytest.mark.parametrize(("tokens", "rows"), [(SHORT[:40], 40), (SHORT, 64), ([*WORDS[:90]], 90)])
def test_a_tokenizer_of_none_of_the_models(
    made: tuple[Model, list[Model]], place: Path, tmp_path: Path, tokens: list[str], rows: int
) -> None:
    """It has the rows of its tokens, and the base's padding where it has no fewer tokens than the base."""
    base, models = made
    Model.make(tmp_path / "other", tokens, seed=7)
    data = recipe(models, base, "linear", tokenizer_source=str(tmp_path / "other"))
    merged, *_ = merge(tmp_path, data, place=place)
    check_average(merged, [*tokens, *[None] * (rows - len(tokens))], base, models, [1, 1, 1])


def test_a_look_before_a_merge_counts_what_the_merge_counts(tmp_path: Path) -> None:
    """What the base lacks has no delta: it is changed by all that have it, and in no mean of deltas."""
    base = Model.make(tmp_path / "base", SHORT, seed=0)
    own = ([*SHORT, "<a>", "<b>"], [*SHORT, "<b>"])
    models = [Model.make(tmp_path / f"m{at}", of, seed=at + 1, near=base) for at, of in enumerate(own)]
    data = recipe(models, base, "parameter_selection", vocab="union")
    _, record, _ = merge(tmp_path, data)
    looked = measure_plan(plan_merge(parse_recipe(data, tmp_path)))
    counted = findings_of_record(record)
    assert counted is not None
    for name in VOCABULARY:
        before, after = (found.counts[found.grid.cell_of[name]] for found in (looked, counted))
        np.testing.assert_allclose(before.zero_delta.value, after.zero_delta.value, rtol=1e-12)
        np.testing.assert_array_equal(before.total("changed_by"), after.total("changed_by"))
    tables = [model.tensors[EMBEDDING][: len(SHORT)].astype(float) for model in (base, *models)]
    details = looked.inspected[looked.grid.cell_of[EMBEDDING]]
    wanted = [np.abs(table - tables[0]).mean() for table in tables[1:]]
    np.testing.assert_allclose(details.mean_magnitude.value, wanted, rtol=1e-6)


def test_shares_of_a_merge_are_of_what_was_drawn(tmp_path: Path) -> None:
    """And so not of rows that only the base has."""
    base = Model.make(tmp_path / "base", SHORT, seed=0)
    models = [Model.make(tmp_path / f"m{at}", SHORT[:40], seed=at + 1, near=base) for at in range(2)]
    _, record, _ = merge(tmp_path, recipe(models, base, "parameter_selection", vocab="base"))
    findings = findings_of_record(record)
    assert findings is not None
    assert findings.counted is not None
    for name, cell in findings.grid.cell_of.items():
        drawn = findings.counted.cells[cell].drawn
        assert int(drawn.selected.sum()) == drawn.elements, name
