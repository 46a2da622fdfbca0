"""The memory that is said for a merge is what its workers take, on whatever it runs."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from core import MergePlan, parse_recipe, plan_merge
from core.devices import CPU, Device
from core.dtypes import DTYPES
from core.methods import METHODS
from core.plan.chunking import (
    CHUNK_BYTES,
    DEVICE_CHUNK_BYTES,
    MEMORY_BUDGET_BYTES,
    chunk_elements,
    peak_memory_bytes,
)
from core.table import scratch_bytes, trial_job

CARDS = [Device(f"cuda:{number}", "Card", "cuda") for number in range(2)]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> MergePlan:
    folder = tmp_path_factory.mktemp("models")
    for name in ("base", "m1", "m2"):
        (folder / name).mkdir()
        save_file({"w": np.zeros((4096, 4096), np.float16)}, folder / name / "model.safetensors")
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": "base",
        "models": [{"model": "m1"}, {"model": "m2"}],
    }
    return plan_merge(parse_recipe(recipe, folder))


def test_a_card_takes_few_large_chunks(plan: MergePlan) -> None:
    each = peak_memory_bytes(plan, CARDS[:1]) / 3
    held = 4 * 2 * chunk_elements(plan.tensors[0], 3, chunk_bytes=DEVICE_CHUNK_BYTES)
    assert 2 * CHUNK_BYTES < held <= each <= 2 * held  # no scratch; pinned in powers of two
    assert peak_memory_bytes(plan, CARDS[:1], threads=16) == 3 * each


def test_all_cards_share_one_budget(plan: MergePlan) -> None:
    assert peak_memory_bytes(plan, CARDS) <= 2 * MEMORY_BUDGET_BYTES


def test_a_core_takes_small_ones(plan: MergePlan) -> None:
    one = peak_memory_bytes(plan, [CPU], threads=1)
    assert CHUNK_BYTES // 2 < one <= 8 * CHUNK_BYTES
    assert one < peak_memory_bytes(plan, [CPU], threads=4) <= MEMORY_BUDGET_BYTES


@pytest.mark.parametrize("combine", ["sum", "selection"])
def test_what_a_kernel_declines_is_given_the_memory_of_torch(combine: str) -> None:
    """Torch holds the task vectors of a chunk and what is kept of each; 16 workers with that took 2 GiB."""
    method = METHODS["task_vectors"]
    values = {"sparsify": "ranked", "density": [0.5] * 50, "rescale": True, "rescale_by": "density"}
    values["combine"] = combine
    served = scratch_bytes(trial_job(method, DTYPES["BF16"], 50))
    declined = scratch_bytes(trial_job(method, DTYPES["BF16"], 50, values))
    assert served < 50 * 4 < 50 * (4 + 4) < declined
