"""Merges of models whose vocabularies differ: every row against plain numpy, by the text of its token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from token_merges import VOCABULARY, WORDS, cases, check_average, check_selection, merge, recipe, union_of
from token_models import EMBEDDING, HEAD, Model, average

from core import plan_merge
from core.deltas.preview import measure_plan
from core.errors import MergeError
from core.recipe.parsing import parse_recipe

KINDS = ["one more", "own", "in padding", "order", "down", "padded"]


@pytest.mark.parametrize(
    "kind", [*KINDS[:2], *KINDS[3:5], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[2::3])]
)
def test_rows_of_a_union_are_selected_by_their_tokens(tmp_path: Path, kind: str) -> None:
    base, models = cases(tmp_path, kind)
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2}, vocab="union")
    merged, record, _ = merge(tmp_path, data)
    tokens = union_of(base, models)
    check_selection(merged, record, tokens, base, models)


@pytest.mark.parametrize(
    ("kind", "has_base"),
    [
        *(
            pytest.param(kind, True, marks=() if kind in ("own", "down") else pytest.mark.slow)
            for kind in KINDS
        ),
        ("own", False),
        pytest.param("down", False, marks=pytest.mark.slow),
    ],
)
def test_rows_of_a_union_are_averaged_among_those_that_have_them(
    tmp_path: Path, kind: str, has_base: bool
) -> None:
    base, models = cases(tmp_path, kind)
    weights = [0.75, 0.25]
    data = recipe(models, base if has_base else None, "linear", vocab="union")
    data["models"] = [
        {**entry, "parameters": {"weight": weight}}
        for entry, weight in zip(data["models"], weights, strict=True)
    ]
    merged, *_ = merge(tmp_path, data)
    if has_base:
        check_average(merged, union_of(base, models), base, models, weights)
    else:
        check_average(merged, union_of(models[0], models[1:]), None, models, weights)


def test_the_vocabulary_of_the_base_leaves_out_what_others_added(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "own")
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2})
    merged, record, out = merge(tmp_path, data | {"vocab": "base"})
    check_selection(merged, record, WORDS, base, models)
    assert (out / "tokenizer.json").read_bytes() == (base.folder / "tokenizer.json").read_bytes()
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 200
    said = 'the result leaves out "<a>", "<b>", "<c>", as its vocabulary lacks them'
    assert any(said in warning for warning in record.warnings), record.warnings
    for more in ({"tokenizer_source": "base"}, {"tokenizer": {"source": "base"}}):
        plan = plan_merge(parse_recipe(data | more, tmp_path))
        assert [tensor.output.shape for tensor in plan.tensors if tensor.parts] == []
        assert plan.vocabulary == 200


def test_the_vocabulary_of_a_model_has_its_rows_in_its_order(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "own")
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2}, tokenizer_source="m1")
    merged, record, out = merge(tmp_path, data)
    check_selection(merged, record, models[1].tokens, base, models)
    assert (out / "tokenizer.json").read_bytes() == (models[1].folder / "tokenizer.json").read_bytes()


def test_rows_are_padded_to_a_multiple(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "one more")
    data = recipe(models, base, "linear", tokenizer={"pad_to_multiple_of": 64})
    merged, *_ = merge(tmp_path, data)
    check_average(merged, [*WORDS, "<pad>", *[None] * 55], base, models, [1.0, 1.0])


def test_without_a_key_own_tokens_are_united_and_that_is_said(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "own")
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2})
    silent, record, _ = merge(tmp_path, data)
    asked, other, _ = merge(tmp_path, data | {"vocab": "union"}, to="asked")
    for name in asked:
        np.testing.assert_array_equal(silent[name], asked[name])
    sentence = "the vocabularies differ and are united, as `vocab: union` says: the result has 256 rows"
    assert any(sentence in warning for warning in record.warnings)
    assert not any(sentence in warning for warning in other.warnings)


@pytest.mark.parametrize("kind", ["order", "down"])
def test_without_a_key_other_vocabularies_are_refused_with_both_keys(tmp_path: Path, kind: str) -> None:
    base, models = cases(tmp_path, kind)
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 2})
    with pytest.raises(MergeError) as refused:
        plan_merge(parse_recipe(data, tmp_path))
    hint = refused.value.hint or ""
    assert "`vocab: union`" in hint
    assert "`tokenizer: {source: …}`" in hint
    assert refused.value.entry == {"order": 0, "down": 1}[kind]
    for key in ({"vocab": "union"}, {"vocab": "base"}, {"tokenizer": {"source": "m0"}}):
        plan_merge(parse_recipe(data | key, tmp_path))


def test_where_tokens_cannot_be_read_rows_are_matched_by_their_numbers(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "one more")
    for model in (base, *models):
        (model.folder / "tokenizer.json").unlink()
    data = recipe(models, base, "linear", vocab="union")
    merged, record, _ = merge(tmp_path, data)
    check_average(merged, [*WORDS, "<pad>"], base, models, [1.0, 1.0])
    assert any("merged row by row" in warning for warning in record.warnings)
    with pytest.raises(MergeError, match=r"201×24 in .*m0 and 200×24 in .*base"):
        plan_merge(parse_recipe({key: value for key, value in data.items() if key != "vocab"}, tmp_path))


def test_other_methods_average_what_not_all_have_and_leave_it_out_of_their_sums(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "down")
    tokens = union_of(base, models)
    data = recipe(models, base, "task_arithmetic", parameters={"lambda": 0.5, "weight": 0.75}, vocab="union")
    merged, *_ = merge(tmp_path, data)
    slerped, *_ = merge(
        tmp_path, recipe(models[:1], base, "slerp", parameters={"t": 0.3}, vocab="union"), to="slerp"
    )
    of_one = union_of(base, models[:1])
    for name in VOCABULARY:
        for number, token in enumerate(tokens):
            of_base = base.row(name, token, number)
            rows = [row for model in models if (row := model.row(name, token, number)) is not None]
            if len(rows) == len(models) and of_base is not None:
                mix = sum(np.float64(0.75) * (row.astype(float) - of_base) for row in rows)
                wanted = (of_base + np.float64(0.5) * mix).astype(np.float32)
                np.testing.assert_allclose(merged[name][number], wanted, rtol=1e-6, atol=1e-7)
            elif rows:
                np.testing.assert_array_equal(merged[name][number], average(rows, [1.0] * len(rows)))
        both = {
            number: (base.row(name, token, number), models[0].row(name, token, number))
            for number, token in enumerate(of_one)
        }
        whole = [pair for pair in both.values() if pair[0] is not None and pair[1] is not None]
        one, two = (np.stack([pair[at] for pair in whole]).astype(float) for at in (0, 1))
        angle = np.arccos((one * two).sum() / np.linalg.norm(one) / np.linalg.norm(two))
        for number, (of_base, row) in both.items():
            if of_base is not None and row is not None:
                wanted = (np.sin(0.7 * angle) * of_base + np.sin(0.3 * angle) * row) / np.sin(angle)
                np.testing.assert_allclose(slerped[name][number], wanted, rtol=1e-5, atol=1e-6)
            elif row is not None:
                np.testing.assert_array_equal(slerped[name][number], row)
            elif of_base is not None:
                np.testing.assert_array_equal(slerped[name][number], of_base)


def test_rows_are_lent_as_the_recipe_says(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "own")
    tokens = {
        "<c>": {"source": "m1"},
        "<b>": {"source": {"kind": "model_token", "model": "m0", "token": "w5"}, "force": True},
        "w7": {"source": {"kind": "zero"}, "force": True},
        "w9": {"source": {"kind": "model_token", "model": "base", "token_id": 3}},
    }
    merged, *_ = merge(tmp_path, recipe(models, base, "linear", tokenizer={"tokens": tokens}))
    union = union_of(base, models)
    for name in VOCABULARY:
        rows = {token: merged[name][union.index(token)] for token in ("<a>", "<b>", "<c>", "w7", "w9")}
        np.testing.assert_array_equal(rows["<c>"], models[1].row(name, "<c>", 0))
        np.testing.assert_array_equal(rows["<b>"], models[0].row(name, "w5", 0))
        np.testing.assert_array_equal(rows["w7"], np.zeros_like(rows["w7"]))
        for token in ("<a>", "w9"):  # all that merge it have it, and so nothing is lent
            wanted = average([model.row(name, token, 0) for model in models], [1.0, 1.0])
            np.testing.assert_array_equal(rows[token], wanted)
    with pytest.raises(MergeError, match="the result has no token '<z>'"):
        plan_merge(
            parse_recipe(
                recipe(models, base, "linear", tokenizer={"tokens": {"<z>": {"source": "m0"}}}), tmp_path
            )
        )


def test_weights_of_those_that_have_a_row_must_make_sense(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "one more")
    data = recipe(models, base, "linear", parameters={"normalize": False})
    data["models"] = [{"model": "m0", "parameters": {"weight": 0}}, {"model": "m1"}]
    with pytest.raises(MergeError, match=r"rows of tensor 'model.embed_tokens.weight' that only some"):
        plan_merge(parse_recipe(data, tmp_path))
    # Of a selection those that have the row are equal then.
    data |= {"merge_method": "parameter_selection", "parameters": {"resamples": 1}}
    merged, *_ = merge(tmp_path, data)
    np.testing.assert_array_equal(merged[EMBEDDING][200], models[0].row(EMBEDDING, "<pad>", 200))


def test_a_tied_head_stays_equal_to_its_embedding(tmp_path: Path) -> None:
    tied = {"tie_word_embeddings": True}
    base = Model.make(tmp_path / "base", WORDS, seed=0, config=tied, names=(EMBEDDING,))
    one = Model.make(tmp_path / "one", [*WORDS, "<a>"], seed=1, near=base, config=tied, names=(EMBEDDING,))
    two = Model.make(tmp_path / "two", sorted(WORDS), seed=2, near=base, names=(EMBEDDING, HEAD))
    data = recipe([one, two], base, "linear", vocab="union")
    merged, *_ = merge(tmp_path, data)
    for number, token in enumerate([*WORDS, "<a>"]):
        heads = [one.row(EMBEDDING, token, number), two.row(HEAD, token, number)]
        wanted = average(
            [row for row in heads if row is not None], [1.0] * sum(row is not None for row in heads)
        )
        np.testing.assert_array_equal(merged[HEAD][number], wanted)


def test_statistics_leave_out_rows_that_some_lack(tmp_path: Path) -> None:
    base, models = cases(tmp_path, "down")
    for model in models:  # as all that both have
        for name in VOCABULARY:
            for number, token in enumerate(model.tokens):
                if (row := base.row(name, token, number)) is not None:
                    model.tensors[name][number] = row
        model.save()
    plan = plan_merge(
        parse_recipe(
            recipe(models, base, "parameter_selection", parameters={"resamples": 0}, vocab="union"), tmp_path
        )
    )
    found = measure_plan(plan)
    np.testing.assert_array_equal(found.zero_delta.value[found.grid.cell_of[EMBEDDING]], [1.0, 1.0])
    assert found.grid.cell_of[EMBEDDING] in found.inspected
