"""Tensors of which not all inputs have all rows, in chunks: any size, thread, device and interruption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import key_for
from safetensors.numpy import load_file
from small_merges import OneByOne, in_order
from token_merges import SEED, WORDS, cases, merge, recipe
from token_models import EMBEDDING, HIDDEN, Model, tokenizer_json, words

from core import CancelToken, MergePlan, plan_merge, run_merge, table
from core.errors import Cancelled, MergeError
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import Values
from core.methods import METHODS
from core.methods.reference import Reference
from core.recipe.parsing import parse_recipe
from core.run.passes import TensorPasses
from core.run.row_parts import merge_parts
from core.run.work import Chunk
from core.sources.files import OpenInputs

Alternating = tuple[Model, list[Model], list[str | None], Path]


@pytest.fixture(scope="module")
def alternating(tmp_path_factory: pytest.TempPathFactory) -> Alternating:
    """Tensors of several chunks; every other token in the midst is only in one of the models."""
    folder = tmp_path_factory.mktemp("alternating")
    every = [f"w{number}" for number in range(6_000)]
    first = [word for number, word in enumerate(every) if not 3_000 <= number < 3_200 or number % 2]
    base = Model.make(folder / "base", every, seed=0, names=(EMBEDDING,))
    one = Model.make(folder / "m0", first, seed=1, near=base, names=(EMBEDDING,))
    two = Model.make(folder / "m1", [*every[::-1], "<a>"], seed=2, near=base, names=(EMBEDDING,))
    return base, [one, two], [*every, "<a>"], folder


def check_alternating(
    merged: Any, base: Model, models: Sequence[Model], tokens: Sequence[str | None]
) -> None:
    rows = [{token: row for row, token in enumerate(model.tokens)} for model in (base, *models)]
    of_all = [token for token in tokens if all(token in one for one in rows)]
    place_of = {token: place for place, token in enumerate(tokens)}
    places = np.array([place_of[token] for token in of_all])
    values = [
        model.tensors[EMBEDDING][[one[token] for token in of_all]]
        for model, one in zip((base, *models), rows, strict=True)
    ]
    elements = (places[:, None] * HIDDEN + np.arange(HIDDEN)).ravel()
    stacked = np.stack([value.ravel() for value in values[1:]])
    chosen, undecided = np.zeros(len(elements), np.int64), np.ones(len(elements), bool)
    for draw in range(3):
        drawn = (words(elements, draw, key_for(SEED, EMBEDDING)) * np.uint64(2)) >> np.uint64(32)
        chosen = np.where(undecided, drawn.astype(np.int64), chosen)
        undecided = stacked[chosen, np.arange(len(elements))] == values[0].ravel()
    wanted = stacked[chosen, np.arange(len(elements))].reshape(-1, HIDDEN)
    np.testing.assert_array_equal(merged[places], wanted)
    for row, token in enumerate(tokens):
        if token not in rows[1]:
            np.testing.assert_array_equal(merged[row], models[1].tensors[EMBEDDING][rows[2][token]])


def asking(models: Sequence[Model], base: Model) -> dict[str, Any]:
    return recipe(models, base, "parameter_selection", parameters={"resamples": 2}, vocab="union")


def test_chunks_and_threads_change_nothing(alternating: Alternating, tmp_path: Path) -> None:
    base, models, tokens, place = alternating
    merged, record, _ = merge(tmp_path, asking(models, base), place=place)
    check_alternating(merged[EMBEDDING], base, models, tokens)
    again, other, _ = merge(tmp_path, asking(models, base), place=place, to="again", threads=2, chunk_bytes=1)
    np.testing.assert_array_equal(merged[EMBEDDING], again[EMBEDDING])
    assert [vars(tensor) for tensor in record.tensors] == [vars(tensor) for tensor in other.tensors]
    assert record.bytes_read == other.bytes_read


def cut_off(out: Path, plan: MergePlan) -> None:
    """Begin a merge, and end it in the midst of its tensor."""
    token = CancelToken()

    def cancel(number: int, chunk: Chunk) -> None:
        if number == 2:
            token.cancel()

    how: dict[str, Any] = {"device": "cpu", "threads": 1, "chunk_bytes": 1, "cancel": token, "keep": True}
    with pytest.raises(Cancelled), in_order():
        run_merge(plan, out, executor=OneByOne(cancel), **how)


def test_a_merge_that_was_cut_off_goes_on(alternating: Alternating, tmp_path: Path) -> None:
    """And is another one where a tokenizer has changed."""
    base, models, tokens, place = alternating
    plan = plan_merge(parse_recipe(asking(models, base), place))
    cut_off(tmp_path / "out", plan)
    file = models[1].folder / "tokenizer.json"
    before = file.read_bytes()
    file.write_text(json.dumps(tokenizer_json([*models[1].tokens[1:-1], models[1].tokens[0], "<a>"])))
    other = plan_merge(parse_recipe(asking(models, base), place))
    file.write_bytes(before)
    with pytest.raises(MergeError, match="cannot go on"):
        run_merge(other, tmp_path / "out", device="cpu", resume=True)
    record = run_merge(plan, tmp_path / "out", device="cpu", threads=1, chunk_bytes=1, resume=True)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    check_alternating(merged[EMBEDDING], base, models, tokens)
    whole = run_merge(plan, tmp_path / "whole", device="cpu", threads=1)
    assert [vars(tensor) for tensor in record.tensors] == [vars(tensor) for tensor in whole.tensors]
    assert record.bytes_read < whole.bytes_read


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("ties", {"density": 0.43}),
        ("breadcrumbs_ties", {"density": 0.33, "gamma": 0.1}),
        ("model_stock", {"filter_wise": True}),
    ],
)
def test_where_rows_and_chunks_are_cut_changes_nothing(
    tmp_path: Path, method: str, values: dict[str, Any]
) -> None:
    """As if there were only the rows that all have: of many equal deltas the first ones are kept, and a row
    that two chunks share is one row."""
    every = [f"w{number}" for number in range(3_000)]
    some = [word for number, word in enumerate(every) if number % 7 or number > 400]
    base = Model.make(tmp_path / "base", every, seed=0, names=(EMBEDDING,))
    models = []
    for at, tokens in enumerate((some, every)):
        model = Model.make(tmp_path / f"m{at}", tokens, seed=at, names=(EMBEDDING,))
        steps = np.random.default_rng(at).integers(-2, 3, (len(tokens), HIDDEN)).astype(np.float32)
        near = np.stack([base.row(EMBEDDING, token, 0) for token in tokens])
        model.tensors[EMBEDDING] = np.round(near * 64) / 64 + steps / 8
        models.append(model)
    base.tensors[EMBEDDING] = np.round(base.tensors[EMBEDDING] * 64) / 64
    data = recipe(models, base, method, parameters=values, vocab="union")
    for model in (base, *models):
        model.save()
    merged, record, _ = merge(tmp_path, data, chunk_bytes=1)
    kept = [every.index(word) for word in some]
    for model in (base, *models):
        own = Model.make(tmp_path / model.folder.name, some, seed=0, names=(EMBEDDING,))
        own.tensors[EMBEDDING] = np.stack([model.row(EMBEDDING, token, 0) for token in some])
        own.save()
    short, short_record, _ = merge(tmp_path, data, to="short", chunk_bytes=1)
    np.testing.assert_array_equal(merged[EMBEDDING][kept], short[EMBEDDING])
    found, expected = (
        next(tensor for tensor in one.tensors if tensor.name == EMBEDDING) for one in (record, short_record)
    )
    assert (found.dropped, found.elected_against) == (expected.dropped, expected.elected_against)


def test_of_many_models_in_a_narrow_type_each_is_told(tmp_path: Path) -> None:
    """More sub-models than a type of two bits behind the point holds whole numbers exactly: 7."""
    base = Model.make(tmp_path / "base", WORDS[:40], seed=0, names=(EMBEDDING,))
    base.tensors[EMBEDDING][:] = 0
    base.save()
    models = []
    for at in range(9):
        tokens = [word for number, word in enumerate(WORDS[:40]) if at or number % 2]
        models.append(Model.make(tmp_path / f"m{at}", tokens, seed=at, names=(EMBEDDING,)))
        models[-1].tensors[EMBEDDING][:] = 2.0**at
        models[-1].save()
    merged, record, _ = merge(
        tmp_path, asking(models, base) | {"dtype": "float8_e5m2", "out_dtype": "float32"}
    )
    found = next(tensor for tensor in record.tensors if tensor.name == EMBEDDING)
    assert found.selected == tuple(int((merged[EMBEDDING] == 2.0**at).sum()) for at in range(9))
    assert found.changed_by == (*[0] * 8, 20 * HIDDEN, 20 * HIDDEN)
    assert (found.zero_delta, found.nonfinite) == ((0,) * 9, (0,) * 10)


def test_every_device_gives_the_same_bytes_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernels of the CPU, the methods' own arithmetic, and the interpreted kernels of a GPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    base, models = cases(tmp_path, "own")
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2}, vocab="union")
    plan = plan_merge(parse_recipe(data, tmp_path))
    spaces = [
        table.workspace(),
        CpuWorkspace({}, Reference("cpu", METHODS)),
        table.device_workspace("cpu"),
    ]
    for tensor in plan.tensors:
        if tensor.output.name != EMBEDDING:
            continue
        passes = TensorPasses((tensor,))
        chunk = Chunk(0, 0, tensor.elements, 0, (Values(),))
        every = []
        for space in spaces:
            merged, read = merge_parts(passes, chunk, OpenInputs(plan.headers), space, refuses=[True])
            every.append((bytes(merged[0].data), repr(vars(merged[0].counts)), read))
        assert every[0] == every[1] == every[2]
