"""What a family ties is one tensor after the merge, too, whoever stores it twice and whatever configs say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from families import FAMILIES
from family import Family
from safetensors.torch import load_file, save_file
from tuned import MODELS, WEIGHTS, Made, average, load, merge, outputs, shared

TIED = (
    *("t5", "bart", "whisper", "roberta", "modernbert", "electra", "marian", "bert", "gemma", "gpt2"),
    *("mt5", "mbart", "pegasus", "albert", "distilbert", "deberta", "mpnet", "switch_transformers", "opt"),
    *("bloom", "falcon", "xlm-roberta", "camembert", "convbert", "m2m_100"),
)
"""Families that share memory between tensors by their configs or their classes' defaults."""

STORED_TWICE = {"all": MODELS, "the base": MODELS[:1], "a sub-model": MODELS[1:2]}

SILENT = ("t5", "gemma", "gemma2", "bert", "gpt2", "bart")
"""Families whose class ties by default, where the config says nothing."""


def tied_names(family: Family, folder: Path) -> list[tuple[str, ...]]:
    """What transformers ties in the base, by the memory that its tensors share."""
    return shared(load(family, folder / MODELS[0]))


def copied(made: Path, folder: Path, ties: Collection[tuple[str, ...]], twice: Collection[str]) -> None:
    """Copy the models in `made`, with tied tensors that fine-tuning has changed in three of ten places.

    The models in `twice` store every tensor of `ties` under each of its names.
    """
    shutil.copytree(made, folder)
    for seed, model in enumerate(MODELS):
        path = folder / model / WEIGHTS
        tensors = load_file(path)
        for names in ties:
            stored = next(name for name in names if name in tensors)
            words = tensors[stored].view(torch.int16)
            if seed:
                at = torch.rand(words.shape, generator=torch.Generator().manual_seed(seed))
                words += ((at < 0.3) & (words != 0)).to(torch.int16)  # a padding row stays 0
            if model in twice:
                tensors.update({name: tensors[stored].clone() for name in names})
        save_file(tensors, path, metadata={"format": "pt"})


def check_one(family: Family, out: Path, ties: Collection[tuple[str, ...]]) -> None:
    """What is stored of each tie is equal, and loaded it is one tensor again."""
    tensors = load_file(out / WEIGHTS)
    for names in ties:
        stored = [tensors[name] for name in names if name in tensors]
        assert stored, names
        assert all(torch.equal(stored[0], other) for other in stored), names
    model = load(family, out)
    state = model.state_dict()
    for names in ties:
        assert all(torch.equal(state[names[0]], state[name]) for name in names), names
    assert shared(model) == list(ties)


def marks(quick: bool) -> tuple[pytest.MarkDecorator, ...]:
    return () if quick else (pytest.mark.slow,)


@pytest.mark.parametrize(
    ("name", "by"),
    [
        pytest.param(name, by, id=f"{name}, by {by}", marks=marks(by == "all" and number < 9))
        for by in STORED_TWICE
        for number, name in enumerate(TIED)
    ],
)
def test_tied_tensors_that_are_stored_twice_stay_one(name: str, by: str, made: Made, tmp_path: Path) -> None:
    family, folder = FAMILIES[name], tmp_path / "models"
    ties = tied_names(family, made(family))
    assert ties
    copied(made(family), folder, ties, STORED_TWICE[by])
    check_one(family, merge(folder, "parameter_selection", tmp_path / "selected", resamples=1), ties)
    averaged = merge(folder, "linear", tmp_path / "averaged")
    check_one(family, averaged, ties)
    runs = [load(family, folder / model) for model in MODELS[1:]]
    expected = average([run.state_dict() for run in runs])
    merged = load(family, averaged)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in merged.state_dict().items())
    runs[0].load_state_dict(expected)
    for output, other in zip(outputs(family, merged), outputs(family, runs[0]), strict=True):
        assert torch.equal(output, other)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name in SILENT[:2])) for name in SILENT])
def test_a_config_that_is_silent_means_what_its_class_does(name: str, made: Made, tmp_path: Path) -> None:
    family, folder = FAMILIES[name], tmp_path / "models"
    ties = tied_names(family, made(family))
    assert ties
    copied(made(family), folder, ties, MODELS)
    for model in MODELS:
        path = folder / model / "config.json"
        config = json.loads(path.read_text())
        config.pop("tie_word_embeddings", None)
        path.write_text(json.dumps(config))
    assert tied_names(family, folder) == ties
    check_one(family, merge(folder, "parameter_selection", tmp_path / "out"), ties)
