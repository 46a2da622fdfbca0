from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import oracle
import pytest
import torch
from safetensors.torch import load_file, save_file

from core import MergeError, Progress, inspect_models
from core.cli.inspection_output import inspection_document, inspection_summary
from core.deltas.inspection import Inspection
from core.deltas.sampling import SAMPLE_BLOCK, sampled_blocks

BLOCKS = 40


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a sub-model of 40 blocks and a bit: block b of the sub-model has b changed elements."""
    folder = tmp_path_factory.mktemp("models")
    base = torch.ones(BLOCKS * SAMPLE_BLOCK + 100, dtype=torch.bfloat16)
    model = base.clone()
    for block in range(BLOCKS + 1):
        model[block * SAMPLE_BLOCK : block * SAMPLE_BLOCK + block] = 2.0
    for name, values in (("base", base), ("model", model)):
        (folder / name).mkdir()
        save_file({"w": values, "tiny": values[:3].clone()}, folder / name / "model.safetensors")
    return folder


def chosen_by_the_oracle(name: str, sample: float) -> list[int]:
    key = oracle.key_for(0, name)
    words = [oracle.philox4x32_10((block, 0, 0, 1), key)[0] for block in range(BLOCKS + 1)]
    return [block for block, word in enumerate(words) if word < sample * 2**32]


@pytest.mark.parametrize("sample", [0.1, 0.5, 0.9])
def test_a_sample_counts_the_blocks_that_stream_1_chooses(models: Path, sample: float) -> None:
    blocks = chosen_by_the_oracle("w", sample)
    assert 0 < len(blocks) < BLOCKS + 1
    counted = {
        tensor.name: tensor
        for tensor in inspect_models(models / "base", [models / "model"], sample=sample).tensors
    }
    sizes = [100 if block == BLOCKS else SAMPLE_BLOCK for block in blocks]
    changed = sum(blocks)
    assert counted["w"].elements == sum(sizes)
    assert counted["w"].changed_by == (sum(sizes) - changed, changed)
    assert counted["w"].zero_delta == (sum(sizes) - changed,)
    assert counted["w"].parameters == BLOCKS * SAMPLE_BLOCK + 100


def test_all_is_counted_without_a_sample(models: Path) -> None:
    counted = {tensor.name: tensor for tensor in inspect_models(models / "base", [models / "model"]).tensors}
    assert counted["w"].changed_by[1] == sum(range(BLOCKS + 1))
    assert counted["tiny"].elements == 3


def test_a_tensor_always_has_a_block_in_the_sample() -> None:
    for number in range(50):
        assert len(sampled_blocks(f"t{number}", 10, 0.001)) == 1
    assert sampled_blocks("t", 0, 0.5) == []


def test_larger_samples_hold_the_smaller_ones() -> None:
    samples = [set(sampled_blocks("w", 1000 * SAMPLE_BLOCK, share)) for share in (0.05, 0.3, 1.0)]
    assert samples[0] < samples[1] < samples[2]
    assert abs(len(samples[1]) - 300) < 4 * np.sqrt(1000 * 0.3 * 0.7)


def test_progress_ends_with_everything(models: Path) -> None:
    seen: list[Progress] = []
    inspect_models(models / "base", [models / "model"], progress=seen.append)
    assert seen[-1].fraction == 1.0
    assert seen[-1].tensors_done == seen[-1].tensors_total == 2


@pytest.mark.parametrize("sample", [0, -1, 1.5, float("nan")])
def test_what_is_no_fraction_is_refused(models: Path, sample: float) -> None:
    with pytest.raises(MergeError, match="not a fraction"):
        inspect_models(models / "base", [models / "model"], sample=sample)


# -- details -------------------------------------------------------------------------------------------------

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]


def make(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    folder.mkdir()
    save_file(dict(tensors), folder / "model.safetensors")
    return folder


def make_family(folder: Path, dtype: torch.dtype, models: int, size: int = 200_000) -> list[Path]:
    """A base and sub-models with one tensor of many blocks, a small one, an empty one and a single number."""
    generator = torch.Generator().manual_seed(models)
    base = torch.randn(size, generator=generator) * 0.02
    paths = []
    for number in range(models + 1):
        step = torch.randn(size, generator=generator) * 1e-3 * (torch.rand(size, generator=generator) < 0.4)
        values = (base + step if number else base).to(dtype)
        small = values[:6].clone().reshape(2, 3)
        tensors = {"big": values, "small": small, "empty": values[:0].clone(), "scalar": values[7].clone()}
        paths.append(make(folder / f"m{number}", tensors))
    return paths


def arrays_of(inspection: Inspection) -> list[np.ndarray]:
    every = [tensor.statistics for tensor in inspection.tensors]
    return [array for s in every for array in (s.totals, s.covariances, s.largest)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_details_of_files_are_those_of_their_values(tmp_path: Path, dtype: torch.dtype) -> None:
    base, *models = make_family(tmp_path, dtype, 3)
    inspection = inspect_models(base, models, details=True)
    found = {tensor.name: tensor.statistics for tensor in inspection.tensors}
    assert set(found) == {"big", "small", "empty", "scalar"}
    assert found["empty"].parameters == 0
    for name in ("big", "small", "scalar"):
        stored = [load_file(path / "model.safetensors")[name].double().flatten() for path in (base, *models)]
        tau = torch.stack([model - stored[0] for model in stored[1:]]).numpy()
        np.testing.assert_allclose(found[name].norm.value, np.sqrt((tau**2).sum(axis=1)), rtol=1e-6)
        np.testing.assert_allclose(found[name].mean_magnitude.value, np.abs(tau).mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(found[name].largest, np.abs(tau).max(axis=1), rtol=1e-6)
        np.testing.assert_array_equal(found[name].zero_delta.value, (tau == 0).mean(axis=1))
        np.testing.assert_allclose(found[name].total("dots"), tau @ tau.T, rtol=1e-5, atol=1e-12)
    assert inspection.statistics is not None
    assert inspection.statistics.parameters == 200_007


@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_the_number_of_threads_changes_no_bit(tmp_path: Path, sample: float) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 5, size=1_500_000)
    options = {"sample": sample, "details": True, "weights": [1, 2, 3, 4, 5.5]}
    first, *others = (
        arrays_of(inspect_models(base, models, threads=threads, **options)) for threads in (1, 2, 7)
    )
    for other in others:
        for left, right in zip(first, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_sample_estimates_the_whole(tmp_path: Path) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 2, size=4_000_000)
    whole = inspect_models(base, models, details=True).tensors[0].statistics
    assert whole.parameters == 4_000_000
    for seed in range(3):
        tensor = inspect_models(base, models, sample=0.3, details=True, seed=seed).tensors[0]
        assert tensor.elements < 4_000_000
        for name in ("zero_delta", "norm", "mean_magnitude", "cosine"):
            estimate, true = getattr(tensor.statistics, name), getattr(whole, name).value
            assert (np.abs(estimate.value - true) <= 4 * estimate.error + 1e-12).all(), name
            assert (estimate.error[0] > 0).any(), name
    small = inspect_models(base, models, sample=0.3, details=True).tensors[-1].statistics
    assert (small.zero_delta.error == 0).all()


def test_weights_change_the_prediction_alone(tmp_path: Path) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 2)
    plain, equal, unequal = (
        inspect_models(base, models, weights=weights).tensors[0] for weights in (None, [2, 2], [3, 1])
    )
    np.testing.assert_array_equal(
        plain.statistics.zero_after_draw.value, equal.statistics.zero_after_draw.value
    )
    assert plain.changed_by == unequal.changed_by
    zero = [count / 200_000 for count in plain.zero_delta]
    expected = 0.75 * zero[0] + 0.25 * zero[1]
    assert unequal.statistics.zero_after_draw.value[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")]])
def test_weights_that_are_no_chances_are_refused(tmp_path: Path, weights: list[float]) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 2, size=10)
    with pytest.raises(MergeError, match="weights"):
        inspect_models(base, models, weights=weights)


def test_tensors_are_told_of_as_they_finish_in_the_calling_thread(tmp_path: Path) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 1)
    told: list[tuple[str, threading.Thread]] = []
    inspection = inspect_models(
        base, models, on_tensor=lambda tensor: told.append((tensor.name, threading.current_thread()))
    )
    assert sorted(name for name, _ in told) == sorted(tensor.name for tensor in inspection.tensors)
    assert {thread for _, thread in told} == {threading.current_thread()}


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 2)
    document = json.loads(json.dumps(inspection_document(inspect_models(base, models)), allow_nan=False))
    tensors = {tensor["name"]: tensor for tensor in document["tensors"]}
    assert tensors["empty"]["zero_delta_share"] == [None, None]
    assert "norm" not in document["all"]
    assert "zero_delta_share_error" not in document["all"]
    sampled = inspect_models(base, models, sample=0.5, details=True)
    document = json.loads(json.dumps(inspection_document(sampled), allow_nan=False))
    assert document["all"]["norm_error"][0] > 0
    assert len(document["all"]["cosine"][1]) == 2
    assert [row["module"] for row in document["modules"]] == ["big", "empty", "scalar", "small"]


def test_what_people_read_is_short(tmp_path: Path) -> None:
    base, *models = make_family(tmp_path, torch.bfloat16, 2)
    assert "mean |τ|" not in inspection_summary(inspect_models(base, models))
    said = inspection_summary(inspect_models(base, models, details=True))
    assert "mean |τ|" in said
    assert "signs differ in" in said
    assert len(said.splitlines()) < 30
    assert " ± " in inspection_summary(inspect_models(base, models, sample=0.5))
