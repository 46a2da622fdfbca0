"""Models stay in memory as far as they fit, and one that has changed on the disk is loaded again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.cancel import CancelToken
from core.errors import CheckpointError, MergeError
from core.evaluate.answers.answering import answer_all
from core.evaluate.answers.generating import GeneratedAnswer, GenerationRequest
from core.evaluate.answers.kept_models import KeptModels
from resources import DEMO_FOLDER

MB = 1_000_000


def resize(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.truncate(size)


class Machine:
    """Some memory, and models of 10 MB on a disk that take 20 there."""

    def __init__(self, folder: Path, memory: int | None) -> None:
        self.folder, self.memory = folder, memory
        self.loaded: list[str] = []
        self.open: list[str] = []
        for name in "abc":
            (folder / name).mkdir()
            resize(folder / name / "weights", 10 * MB)

    @contextlib.contextmanager
    def load(self, reference: str, cancel: CancelToken) -> Iterator[str]:
        cancel.raise_if_cancelled()
        name = Path(reference).name
        self.loaded.append(name)
        self.open.append(name)
        yield name
        self.open.remove(name)

    def available(self) -> int | None:
        return None if self.memory is None else self.memory - 20 * MB * len(self.open)

    def kept(self) -> KeptModels:
        return KeptModels(self.load, available=self.available, work_bytes=5 * MB)

    def get(self, kept: KeptModels, names: str) -> None:
        for done, name in enumerate(names):
            wanted = {str(self.folder / other) for other in names[done + 1 :]}
            assert kept.get(str(self.folder / name), cancel=CancelToken(), wanted=wanted) == name


@pytest.mark.parametrize(
    ("memory", "open_after"),
    [(100 * MB, "abc"), (65 * MB, "bc"), (30 * MB, "c"), (10 * MB, "c"), (None, "c")],
)
def test_as_many_stay_as_there_is_room_for(tmp_path: Path, memory: int | None, open_after: str) -> None:
    machine = Machine(tmp_path, memory)
    with machine.kept() as kept:
        machine.get(kept, "a")
        machine.get(kept, "b")
        machine.get(kept, "c")
        assert machine.open == list(open_after)
        machine.get(kept, open_after)
        assert machine.loaded == ["a", "b", "c"]  # those that stayed are not loaded again
    assert machine.open == []


def test_what_is_wanted_next_stays_rather_than_what_is_not(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 65 * MB)
    with machine.kept() as kept:
        machine.get(kept, "ab")
        machine.get(kept, "ca")
        assert machine.open == ["a", "c"]


def test_a_model_that_has_changed_on_the_disk_is_loaded_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 100 * MB)
    with machine.kept() as kept:
        machine.get(kept, "a")
        resize(tmp_path / "a" / "weights", 9 * MB)
        assert not kept.has(str(tmp_path / "a"))
        machine.get(kept, "a")
        assert (machine.loaded, machine.open) == (["a", "a"], ["a"])


def test_a_recipe_is_as_large_as_its_models_and_as_old_as_the_newest(tmp_path: Path) -> None:
    """The demo has 0.4 million parameters, and its recipe's file a few hundred bytes."""
    for name in ("base", "order-1"):
        shutil.copytree(DEMO_FOLDER / name, tmp_path / name)
    recipe = tmp_path / "mix.yaml"
    recipe.write_text("merge_method: linear\nmodels: [{model: base}, {model: order-1}]\n")
    weights = tmp_path / "order-1" / "model.safetensors"
    in_memory = 2 * weights.stat().st_size  # stored in bfloat16; headers are a few bytes of a file
    loaded: list[str] = []

    @contextlib.contextmanager
    def load(reference: str, cancel: CancelToken) -> Iterator[str]:
        loaded.append(Path(reference).name)
        yield reference

    for reference in (str(recipe), f"{tmp_path / 'base'}"):
        for share, kept_after in ((1.2, True), (0.8, False)):
            kept = KeptModels(load, available=lambda share=share: int(share * in_memory), work_bytes=0)
            kept.get(str(tmp_path / "order-1"), cancel=CancelToken())
            kept.get(reference, cancel=CancelToken())
            assert kept.has(str(tmp_path / "order-1")) == kept_after
    loaded.clear()
    kept.get(str(recipe), cancel=CancelToken())
    kept.get(str(recipe), cancel=CancelToken())
    assert loaded == ["mix.yaml"]
    os.utime(weights, ns=(1, 1))
    kept.get(str(recipe), cancel=CancelToken())
    assert loaded == ["mix.yaml", "mix.yaml"]


class Heard:
    """Notes what it hears of models by their numbers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def loading(self, model: int) -> None:
        self.events.append(("loading", model))

    def loaded(self, model: int, seconds: float) -> None:
        self.events.append(("loaded", model))

    def said(self, model: int, text: str) -> None:
        raise AssertionError("no model says anything here")

    def noted(self, model: int, text: str) -> None:
        raise AssertionError("there is nothing to note")

    def answered(self, model: int, answer: GeneratedAnswer) -> None:
        raise AssertionError("no model says anything here")

    def failed(self, model: int, error: MergeError) -> None:
        self.events.append((error.message, model))


def test_models_in_memory_come_first_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def load(reference: str, cancel: CancelToken) -> Iterator[SimpleNamespace]:
        if reference == "a":
            raise CheckpointError("no a")
        yield SimpleNamespace(task="classifier", name=reference, notes=())

    heard = Heard()
    with KeptModels(load, available=lambda: None) as kept:
        kept.get("c", cancel=CancelToken())
        answer_all(["a", "c", "b"], GenerationRequest("hi"), kept, heard, CancelToken())
    writes_none = "is a classifier, which writes no text"
    assert heard.events == [
        ("loaded", 1),
        (f"c {writes_none}", 1),
        ("loading", 0),
        ("no a", 0),
        ("loading", 2),
        ("loaded", 2),
        (f"b {writes_none}", 2),
    ]
