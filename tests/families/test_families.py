"""Models of many families, fine-tuned, merged, loaded by their auto class and run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import FAMILIES, QUICK
from family import Family
from safetensors.torch import load_file
from tuned import MODELS, WEIGHTS, Made, average, load, merge, outputs

from core.deltas.layer_grid import LayerGrid
from core.deltas.module_kinds import module_kind

EVERY = [
    pytest.param(family, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for name, family in FAMILIES.items()
]
MOST_ROWS = 24


@pytest.mark.parametrize("family", EVERY)
def test_a_linear_merge_is_the_one_by_hand(family: Family, made: Made, tmp_path: Path) -> None:
    folder = made(family)
    merged = load(family, merge(folder, "linear", tmp_path / "out"))
    runs = [load(family, folder / name) for name in MODELS[1:]]
    expected = average([run.state_dict() for run in runs])
    found = merged.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    by_hand = runs[0]
    by_hand.load_state_dict(expected)
    computed = outputs(family, merged)
    assert computed
    for output, other in zip(computed, outputs(family, by_hand), strict=True):
        assert output.isfinite().all()
        assert torch.equal(output, other)


@pytest.mark.parametrize("family", EVERY)
def test_selection_takes_every_parameter_from_a_fine_tune(family: Family, made: Made, tmp_path: Path) -> None:
    folder = made(family)
    out = merge(folder, "parameter_selection", tmp_path / "out", resamples=2)
    base, *runs = (load_file(folder / name / WEIGHTS) for name in MODELS)
    merged = load_file(out / WEIGHTS)
    assert merged.keys() == base.keys()
    deltas = changed = lost = 0
    for name, found in merged.items():
        tensors = torch.stack([run[name] for run in runs])
        assert (found == tensors).any(dim=0).all(), name
        moved = tensors != base[name]
        assert (found != base[name])[moved.all(dim=0)].all(), name
        deltas, changed = deltas + moved.numel(), changed + int(moved.sum())
        lost += int((moved.any(dim=0) & (found == base[name])).sum())
    assert 0 < changed < 0.6 * deltas  # as after a short fine-tuning: many are zero
    assert lost < changed / 4  # three draws of two seldom miss what one of them changed
    assert all(output.isfinite().all() for output in outputs(family, load(family, out)))


@pytest.mark.parametrize("family", EVERY)
def test_every_tensor_has_a_row_with_its_bias(family: Family, made: Made) -> None:
    names = load_file(made(family) / MODELS[0] / WEIGHTS)
    grid = LayerGrid.of(names)
    assert grid.cell_of.keys() == names.keys()
    assert len(grid.kinds) <= MOST_ROWS, grid.kinds
    assert len(grid.columns) > 1
    for name in names:
        for end in (".bias", "_bias"):
            weight = name.removesuffix(end) + end.replace("bias", "weight")
            if name.endswith(end) and weight in names:
                assert module_kind(name) == module_kind(weight), name


def test_there_are_families_of_all_kinds() -> None:
    assert len(FAMILIES) >= 72
    assert len(set(QUICK) & FAMILIES.keys()) == 19
