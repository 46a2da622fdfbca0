"""A first look is there at once, is refined, and ends with what an exact reading says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import oracle
import pytest
import torch
from safetensors.torch import save_file

from core import (
    Cancelled,
    CancelToken,
    CheckpointError,
    MergePlan,
    Progress,
    inspect_models,
    parse_recipe,
    plan_inspection,
    plan_merge,
)
from core.deltas.findings import Findings
from core.deltas.preview import PREVIEW_BLOCK, measure_plan, nothing_found, preview_plan
from core.deltas.sampling import spread_blocks

BIG = 11 * PREVIEW_BLOCK + 5
SHAPES = {
    "model.embed_tokens.weight": (50, 40),
    "model.layers.0.self_attn.q_proj.weight": (BIG,),
    "model.layers.0.input_layernorm.weight": (40,),
    "model.layers.0.post_attention_layernorm.weight": (60,),
    "model.layers.1.mlp.experts.0.w1.weight": (3 * PREVIEW_BLOCK,),
    "model.layers.1.mlp.experts.1.w1.weight": (2 * PREVIEW_BLOCK + 7,),
    "model.norm.weight": (40,),
    "empty": (0,),
}


def make(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    folder.mkdir()
    save_file(dict(tensors), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A base and three sub-models; two thirds of the deltas are zero, fewer of the third one's."""
    folder = tmp_path_factory.mktemp("family")
    generator = torch.Generator().manual_seed(5)
    base = {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in SHAPES.items()}
    paths = [make(folder / "base", {name: value.bfloat16() for name, value in base.items()})]
    for number in range(3):
        tensors = {}
        for name, value in base.items():
            moved = torch.rand(value.shape, generator=generator) < 0.3 + 0.1 * number
            step = torch.randn(value.shape, generator=generator) * 1e-3
            tensors[name] = torch.where(moved, value + step, value).bfloat16()
        paths.append(make(folder / f"run-{number}", tensors))
    return paths


def plan_of(family: Sequence[Path], weights: Sequence[float] | None = None) -> MergePlan:
    return plan_inspection(family[0], family[1:], weights)


def test_blocks_are_spread_and_more_of_them_begin_with_the_same() -> None:
    ten, forty = spread_blocks("w", 1000, 10), spread_blocks("w", 1000, 40)
    assert forty[:10] == ten
    assert len(set(forty)) == 40
    assert sorted(spread_blocks("w", 7, 100)) == list(range(7))
    assert spread_blocks("w", 1000, 10, seed=1) != ten
    key = oracle.key_for(0, "w")
    words = [oracle.philox4x32_10((at, 0, 1, 1), key)[0] for at in range(10)]
    assert ten == [word * 1000 >> 32 for word in words]
    firsts = [spread_blocks(f"t{number}", 10, 1)[0] for number in range(2000)]
    assert (abs(np.bincount(firsts) - 200) < 5 * np.sqrt(180)).all()


def test_the_frame_is_there_before_anything_is_read(family: list[Path]) -> None:
    frame = nothing_found(plan_of(family))
    assert [column.label for column in frame.grid.columns] == ["in", "0", "1", "out", "other"]
    assert frame.grid.kinds == ("embeddings", "attention q", "experts gate", "empty", "norms")
    assert (frame.models, frame.base) == (("run-0", "run-1", "run-2"), "base")
    assert np.isnan(frame.zero_delta.value).all()
    assert frame.part().counts is None


def cell_of(findings: Findings, name: str) -> tuple[int, int]:
    return findings.grid.cell_of[name]


def test_a_preview_is_refined_round_by_round_until_all_is_read(family: list[Path]) -> None:
    rounds = list(preview_plan(plan_of(family), rounds=20))
    cell = cell_of(rounds[0], "model.layers.0.self_attn.q_proj.weight")
    read = [findings.inspected[cell].elements for findings in rounds]
    assert [-(-elements // PREVIEW_BLOCK) for elements in read] == [1, 2, 4, 8, 12]
    assert np.isnan(rounds[0].inspected[cell].zero_delta.error).all()
    assert (rounds[1].inspected[cell].zero_delta.error > 0).all()
    assert rounds[-1].sample == 1
    assert [findings.sample < 1 for findings in rounds] == [True] * 4 + [False]


def test_experts_are_one_cell_whose_blocks_are_those_of_all_of_them(family: list[Path]) -> None:
    rounds = list(preview_plan(plan_of(family), rounds=20))
    cell = cell_of(rounds[0], "model.layers.1.mlp.experts.1.w1.weight")
    assert rounds[0].inspected[cell].tensors == 2
    assert rounds[0].inspected[cell].parameters == 5 * PREVIEW_BLOCK + 7
    assert rounds[0].inspected[cell].elements in (7, PREVIEW_BLOCK)
    assert rounds[-1].inspected[cell].elements == 5 * PREVIEW_BLOCK + 7


def assert_equals_inspection(findings: Findings, family: Sequence[Path]) -> None:
    """Cell by cell, what the tensor-by-tensor inspection of everything says."""
    inspection = inspect_models(family[0], family[1:], details=True)
    by_cell: dict[tuple[int, int], list] = {}
    for tensor in inspection.tensors:
        if tensor.parameters:
            by_cell.setdefault(cell_of(findings, tensor.name), []).append(tensor)
    assert set(findings.inspected) == set(by_cell)
    for cell, tensors in by_cell.items():
        found = findings.inspected[cell]
        assert found.total("changed_by").tolist() == np.sum([t.changed_by for t in tensors], 0).tolist()
        dots = np.sum([tensor.statistics.total("dots") for tensor in tensors], axis=0)
        np.testing.assert_allclose(found.total("dots"), dots, rtol=1e-12)
        assert (found.norm.error == 0).all()
        assert found.largest.tolist() == np.max([t.statistics.largest for t in tensors], axis=0).tolist()


def test_when_all_is_read_a_preview_says_what_an_inspection_says(family: list[Path]) -> None:
    *_, last = preview_plan(plan_of(family), rounds=20)
    assert_equals_inspection(last, family)


def test_measuring_replaces_what_was_estimated(family: list[Path]) -> None:
    begun = next(preview_plan(plan_of(family)))
    told: list[tuple[Findings, threading.Thread]] = []
    progress: list[Progress] = []
    measured = measure_plan(
        plan_of(family),
        begun,
        progress=progress.append,
        on_findings=lambda findings: told.append((findings, threading.current_thread())),
    )
    assert_equals_inspection(measured, family)
    assert measured.sample == 1
    assert progress[-1].fraction == 1
    assert told
    assert {thread for _, thread in told} == {threading.current_thread()}
    assert all(set(findings.inspected) == set(begun.inspected) for findings, _ in told)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(family: list[Path], threads: int) -> None:
    plan = plan_of(family, [1, 2, 5.5])
    for one, other in zip(
        [*preview_plan(plan, rounds=3), measure_plan(plan)],
        [*preview_plan(plan, rounds=3, threads=threads), measure_plan(plan, threads=threads)],
        strict=True,
    ):
        for cell, statistics in one.inspected.items():
            np.testing.assert_array_equal(statistics.totals, other.inspected[cell].totals)
            np.testing.assert_array_equal(statistics.covariances, other.inspected[cell].covariances)


def test_each_tensor_is_predicted_with_its_own_weights(family: list[Path]) -> None:
    """As a recipe's rules give them."""
    models = [
        {
            "model": str(family[1]),
            "parameters": {"weight": [{"filter": "norm", "value": 3.0}, {"value": 1.0}]},
        },
        {"model": str(family[2]), "parameters": {"weight": 1.0}},
    ]
    recipe = {"merge_method": "parameter_selection", "base_model": str(family[0]), "models": models}
    findings = measure_plan(plan_merge(parse_recipe(recipe, Path())))
    assert not findings.equal_weights
    for cell, statistics in findings.inspected.items():
        first = 0.75 if findings.grid.kinds[cell[1]] == "norms" else 0.5
        zero = statistics.zero_delta.value
        expected = first * zero[0] + (1 - first) * zero[1]
        part = findings.part(*cell)
        assert part.predicted is not None
        assert part.predicted.value[0] == pytest.approx(expected, abs=1e-12)


def test_a_preview_ends_after_its_rounds_and_when_it_is_cancelled(family: list[Path]) -> None:
    assert len(list(preview_plan(plan_of(family), rounds=2))) == 2
    token = CancelToken()
    rounds = preview_plan(plan_of(family), cancel=token)
    next(rounds)
    token.cancel()
    with pytest.raises(Cancelled):
        next(rounds)


def test_files_that_change_under_a_preview_are_noticed(tmp_path: Path) -> None:
    tensors = {"w": torch.ones(BIG, dtype=torch.bfloat16)}
    base, model = make(tmp_path / "base", tensors), make(tmp_path / "model", tensors)
    rounds = preview_plan(plan_inspection(base, [model]))
    next(rounds)
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match="has changed"):
        next(rounds)


def test_a_sampled_cell_lies_within_its_error(family: list[Path]) -> None:
    whole = measure_plan(plan_of(family))
    for seed in range(5):
        sampled = list(preview_plan(plan_of(family), rounds=3, seed=seed))[-1]
        assert sampled.sample < 1
        error = sampled.mean_zero_delta.error
        known = np.isfinite(error) & (error > 0)
        away = np.abs(sampled.mean_zero_delta.value - whole.mean_zero_delta.value)
        assert known.any()
        assert (away[known] <= 5 * error[known]).all()


def test_norms_are_left_out_where_they_would_take_too_much_memory(
    family: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.deltas.preview._DETAILS_BYTES", 100)
    findings = next(preview_plan(plan_of(family)))
    assert findings.part().details is None
    assert findings.part().counts is not None
    assert findings.part().predicted is not None


def test_a_plan_of_nothing_to_look_at_has_no_findings(tmp_path: Path) -> None:
    tensors = {"ids": torch.arange(4)}
    base, model = make(tmp_path / "base", tensors), make(tmp_path / "model", tensors)
    (findings,) = preview_plan(plan_inspection(base, [model]))
    assert findings.grid.columns == ()
    assert findings.part().counts is None
    assert measure_plan(plan_inspection(base, [model])).sample == 1


def make_70b(folder: Path) -> Path:
    """A model of the shapes of Llama-2-70B in 15 files of zeros that take no space on the disk."""
    hidden, vocabulary, intermediate, narrow = 8192, 32_000, 28_672, 1024
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "lm_head.weight": [vocabulary, hidden]}
    for layer in range(80):
        prefix = f"model.layers.{layer}."
        shapes |= {f"{prefix}self_attn.{name}_proj.weight": [hidden, hidden] for name in "qo"}
        shapes |= {f"{prefix}self_attn.{name}_proj.weight": [narrow, hidden] for name in "kv"}
        shapes |= {f"{prefix}mlp.{name}_proj.weight": [intermediate, hidden] for name in ("gate", "up")}
        shapes[f"{prefix}mlp.down_proj.weight"] = [hidden, intermediate]
        shapes |= {f"{prefix}{name}_layernorm.weight": [hidden] for name in ("input", "post_attention")}
    write_sparse(folder, shapes, files=15)
    return folder


def write_sparse(folder: Path, shapes: Mapping[str, list[int]], *, files: int) -> None:
    folder.mkdir()
    names = {}
    for shard in range(files):
        file, entries, end = f"model-{shard + 1:05}-of-{files:05}.safetensors", {}, 0
        for name in list(shapes)[shard::files]:
            size = 2 * int(np.prod(shapes[name]))
            entries[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [end, end + size]}
            names[name], end = file, end + size
        header = json.dumps(entries).encode()
        with (folder / file).open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            out.truncate(8 + len(header) + end)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_a_preview_of_70b_is_there_within_a_second(tmp_path: Path) -> None:
    family = [make_70b(tmp_path / f"m{number}") for number in range(5)]
    list(preview_plan(plan_of(family), rounds=1))  # compiles
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        first = next(preview_plan(plan_of(family)))
        seconds.append(time.perf_counter() - started)
    assert first.zero_delta.value.shape == (82, 10, 4)
    assert int(first.parameters.sum()) > 68e9
    assert set(first.inspected) == set(first.grid.tensors)
    assert all(statistics.elements for statistics in first.inspected.values())
    assert min(seconds) < 1, seconds
