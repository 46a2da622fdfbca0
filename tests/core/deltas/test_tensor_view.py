"""Where in a matrix the deltas are: counted tile by tile, as a plain computation counts them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core import Cancelled, CancelToken, CheckpointError, MergePlan, Progress, parse_recipe, plan_merge
from core.deltas.inspection import inspect_models, plan_inspection
from core.deltas.tensor_view import MOST_COLUMNS, MOST_ROWS, TensorView, view_tensor

SHAPES = {
    "wide": (3, 2000),
    "tall": (1000, 7),
    "square": (300, 257),
    "tiny": (2, 3),
    "vector": (5000,),
    "number": (),
    "empty": (0, 4),
    "experts": (4, 130, 48),
}


@pytest.fixture(scope="module", params=[torch.bfloat16, torch.float32], ids=str)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A base and two sub-models; changes become more frequent from row to row and from column to column."""
    folder = tmp_path_factory.mktemp("family")
    generator = torch.Generator().manual_seed(9)
    base = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    paths = []
    for number in range(3):
        tensors = {}
        for name, value in base.items():
            changed = torch.zeros(value.shape, dtype=torch.bool)
            if number and value.numel():
                where = torch.linspace(0, number / 2, value.numel()).reshape(value.shape)
                changed = torch.rand(value.shape, generator=generator) < where
            tensors[name] = torch.where(changed, value + 1, value).to(request.param)
        paths.append(folder / f"m{number}")
        paths[-1].mkdir()
        save_file(tensors, paths[-1] / "model.safetensors")
    return paths


def plan_of(family: Sequence[Path]) -> MergePlan:
    return plan_inspection(family[0], family[1:])


def assert_equals_plain(view: TensorView, family: Sequence[Path]) -> None:
    base, *models = (load_file(path / "model.safetensors")[view.name] for path in family)
    width = base.shape[-1] if base.dim() else 1
    for number, model in enumerate(models):
        changed = (model != base).reshape(-1, width).numpy()
        for r in range(len(view.rows) - 1):
            for c in range(len(view.columns) - 1):
                tile = changed[view.rows[r] : view.rows[r + 1], view.columns[c] : view.columns[c + 1]]
                assert view.changed[number, r, c] == tile.sum()
                assert view.share[number, r, c] == tile.mean()


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "empty"])
@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_are_counted_as_a_plain_computation_does(family: list[Path], name: str, threads: int) -> None:
    view = view_tensor(plan_of(family), name, threads=threads)
    shape = SHAPES[name]
    width, height = (shape[-1] if shape else 1), int(np.prod(shape[:-1]))
    assert view.shape == shape
    assert (view.rows[0], view.rows[-1]) == (0, height)
    assert (view.columns[0], view.columns[-1]) == (0, width)
    assert 1 <= len(view.rows) - 1 <= MOST_ROWS
    assert len(view.columns) - 1 == min(width, MOST_COLUMNS)
    assert view.rows_read.sum() == height
    assert_equals_plain(view, family)


def test_the_statistics_are_those_of_an_inspection(family: list[Path]) -> None:
    inspection = inspect_models(family[0], family[1:], details=True)
    for tensor in inspection.tensors:
        found = view_tensor(plan_of(family), tensor.name).statistics
        assert found is not None
        assert found.total("changed_by").tolist() == list(tensor.changed_by)
        np.testing.assert_allclose(found.total("dots"), tensor.statistics.total("dots"), rtol=1e-12)
        assert found.largest.tolist() == tensor.statistics.largest.tolist()


def test_a_tensor_without_elements_has_no_tiles(family: list[Path]) -> None:
    view = view_tensor(plan_of(family), "empty")
    assert view.changed.size == 0
    assert view.share.shape == view.changed.shape


def test_rows_come_in_from_all_over_the_tensor(family: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.deltas.tensor_view._BLOCK", 257)
    views: list[tuple[TensorView, threading.Thread]] = []
    seen: list[Progress] = []
    last = view_tensor(
        plan_of(family),
        "square",
        on_view=lambda view: views.append((view, threading.current_thread())),
        progress=seen.append,
    )
    assert {thread for _, thread in views} == {threading.current_thread()}
    assert seen[-1].fraction == 1
    assert last.rows_read.tolist() == np.diff(last.rows).tolist()
    assert_equals_plain(last, family)


def test_what_is_not_read_yet_is_not_known(family: list[Path]) -> None:
    token = CancelToken()
    views: list[TensorView] = []

    def look(view: TensorView) -> None:
        views.append(view)

    view = view_tensor(plan_of(family), "tall", on_view=look)
    partial = TensorView(view.name, view.shape, view.rows, view.columns, view.changed * 0, view.rows_read * 0)
    assert np.isnan(partial.share).all()
    token.cancel()
    with pytest.raises(Cancelled):
        view_tensor(plan_of(family), "tall", cancel=token)


def test_a_tolerance_counts_as_in_a_merge(family: list[Path]) -> None:
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(family[0]),
        "models": [{"model": str(path)} for path in family[1:]],
        "zero_tolerance": 1.5,
    }
    view = view_tensor(plan_merge(parse_recipe(recipe, Path())), "square")
    assert view.changed.sum() == 0
    assert view.statistics is not None
    assert view.statistics.zero_delta.value.tolist() == [1, 1]


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    for name in ("base", "model"):
        (tmp_path / name).mkdir()
        save_file({"w": torch.ones(8, 8)}, tmp_path / name / "model.safetensors")
    plan = plan_inspection(tmp_path / "base", [tmp_path / "model"])
    with (tmp_path / "model" / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match="has changed"):
        view_tensor(plan, "w")
