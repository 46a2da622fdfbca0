"""Inputs that look as if they were given by mistake, told without a pass over their weights."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from stored_models import Tensors, store

from core.checkpoint.files import ReadFile
from core.checkpoint.model import Checkpoint, open_checkpoint
from core.plan.no_ops import same_inputs, unread_adapters

SHAPE = (700, 400)
"""560 kB: more than its beginning, middle and end are looked at."""


def model(folder: Path, seed: int, layers: int = 3, changed: int | None = None) -> Checkpoint:
    """Random words by the seed; `changed` is a byte of the second layer that is another one."""
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for layer in range(layers):
        words = np.random.default_rng([seed, layer]).integers(0, 2**16, SHAPE).astype(np.uint16)
        data = bytearray(words.tobytes())
        if changed is not None and layer == 1:
            data[changed] ^= 1
        tensors[f"layers.{layer}.weight"] = ("BF16", SHAPE, bytes(data))
        tensors[f"layers.{layer}.norm"] = ("BF16", (4,), bytes(8))
    return store(folder, tensors)


def test_different_models_of_one_shape_are_looked_at_in_one_place_each(tmp_path: Path) -> None:
    base, *models = (model(tmp_path / str(seed), seed) for seed in range(4))
    read: list[int] = []

    def read_into(self: ReadFile, buffer: memoryview, offset: int) -> None:
        read.append(len(buffer))
        original(self, buffer, offset)

    original = ReadFile.read_into
    with mock.patch.object(ReadFile, "read_into", read_into):
        assert same_inputs(models, base) == []
    assert read == [4096] * 4


def test_the_same_files_under_other_names_are_said(tmp_path: Path) -> None:
    base = model(tmp_path / "base", 0)
    for name, make in (("a", os.link), ("b", os.symlink), ("c", os.link)):
        (tmp_path / name).mkdir()
        make(base.shards[0].path, tmp_path / name / "model.safetensors")
    models = [open_checkpoint(tmp_path / name) for name in "abc"]
    assert same_inputs(models, base) == ["a, b and c are the base, base: the weight file is the same file"]
    assert same_inputs(models[:2], None) == [
        "a and b are one model, given 2 times: the weight file is the same file"
    ]
    assert same_inputs(models[:1], base) == ["a is the base, base: the weight file is the same file"]


def test_copies_are_said_with_what_was_compared(tmp_path: Path) -> None:
    base, a = model(tmp_path / "base", 0), model(tmp_path / "a", 1)
    for name in ("b", "c"):
        shutil.copytree(tmp_path / "a", tmp_path / name)
    shutil.copytree(tmp_path / "base", tmp_path / "d")
    b, c, d = (open_checkpoint(tmp_path / name) for name in "bcd")
    seen = "10 places of 4 tensors were compared and are equal, 590 kB of 1.68 MB"
    assert same_inputs([a, b, c, d], base) == [
        f"d looks like the base, base: {seen}",
        f"a, b and c look like one model, given 3 times: {seen}",
    ]


@pytest.mark.parametrize("changed", [0, 65_535, 280_000, 2 * 700 * 400 - 1])
def test_one_byte_where_is_looked_makes_a_difference(changed: int, tmp_path: Path) -> None:
    models = [model(tmp_path / "a", 0), model(tmp_path / "b", 0, changed=changed)]
    assert same_inputs(models, None) == []


def test_what_differs_between_the_places_is_not_claimed_to_be_compared(tmp_path: Path) -> None:
    models = [model(tmp_path / "a", 0), model(tmp_path / "b", 0, changed=100_000)]
    (sentence,) = same_inputs(models, None)
    assert "look like" in sentence
    assert "were compared and are equal, 590 kB of 1.68 MB" in sentence


def test_large_models_are_looked_at_in_few_places(tmp_path: Path) -> None:
    tensors: Tensors = {f"layers.{at}.weight": ("BF16", (256, 400)) for at in range(40)}
    models = [store(tmp_path / name, tensors) for name in "ab"]
    (sentence,) = same_inputs(models, None)
    assert "24 places of 8 tensors were compared and are equal, 1.57 MB of 8.19 MB" in sentence


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    a = model(tmp_path / "a", 0)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    b = open_checkpoint(tmp_path / "b")
    assert same_inputs([a, b], None)
    with b.shards[0].path.open("r+b") as file:
        file.truncate(2000)
    assert same_inputs([a, b], None) == []
    b.shards[0].path.unlink()
    assert same_inputs([a, b], None) == []


def test_tensors_of_nothing_are_no_trouble(tmp_path: Path) -> None:
    models = [store(tmp_path / name, {"x": ("F32", (0, 4)), "y": ("F32", ())}) for name in "ab"]
    assert len(same_inputs(models, None)) == 1
    assert same_inputs([store(tmp_path / "c", {"x": ("F32", (0,))})], models[0]) == []
    assert same_inputs([store(tmp_path / name, {"x": ("F32", (0,))}) for name in "de"], None) == []


def test_an_adapter_beside_the_weights_is_said(tmp_path: Path) -> None:
    base, a, b = (model(tmp_path / name, 0) for name in ("base", "a", "b"))
    assert unread_adapters([a, b], base) == []
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "b" / name).write_text("{}")
    (sentence,) = unread_adapters([a, b], base)
    assert sentence.startswith(
        "b holds an adapter (adapter_config.json, adapter_model.safetensors) beside its 6 tensors, and it is "
        "not read"
    )
    assert "merge_and_unload" in sentence
