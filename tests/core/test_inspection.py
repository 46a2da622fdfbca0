from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle
import pytest
import torch
from safetensors.torch import save_file

from core import MergeError, Progress, inspect_models
from core.inspection import SAMPLE_BLOCK, sampled_blocks

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
