"""Single tensors are looked at again when the models are others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core import CancelToken, load_recipe
from core.deltas.tensor_view import TensorView
from core.plan.estimate import Throughput
from gui.document.merge_setup import MergeSetup
from gui.document.opening import setup_of_recipe
from gui.jobs import JobKeeper
from gui.looking.subject import Subject
from gui.looking.tensor_viewer import TensorViewer
from gui.preflight.preflight import look_ahead
from gui.window.window import MainWindow

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def viewer(qtbot: QtBot) -> Iterator[TensorViewer]:
    jobs = JobKeeper()
    viewer = TensorViewer(jobs)
    yield viewer
    viewer.set_subject(None)
    jobs.stop_all()


def subject_of(models: Path, k: int) -> Subject:
    setup = setup_of_recipe(
        load_recipe(models / "recipe.yaml"), MergeSetup("parameter_selection", None, (), 0)
    )
    subject = Subject.of(look_ahead(replace(setup, k=k), Throughput(), CancelToken()))
    assert subject is not None
    return subject


def test_what_was_viewed_of_other_models_is_forgotten(
    qtbot: QtBot, viewer: TensorViewer, models: Path
) -> None:
    forgotten: list[None] = []
    views: list[TensorView] = []
    viewer.forgotten.connect(lambda: forgotten.append(None))
    viewer.viewed.connect(views.append)
    three = subject_of(models, 3)
    viewer.set_subject(replace(three, plan=None))
    viewer.want(UP)
    qtbot.waitUntil(lambda: bool(views and views[-1].statistics))
    seen = len(views)
    viewer.set_subject(three)  # the same, with its plan
    viewer.hold(True)
    viewer.hold(False)
    qtbot.wait(400)
    assert forgotten == []
    assert len(views) == seen  # all is known of it
    views.clear()
    viewer.set_subject(subject_of(models, 2))
    assert forgotten == [None]
    qtbot.waitUntil(lambda: bool(views and views[-1].statistics))
    assert {len(view.changed) for view in views} == {2}
    viewer.set_subject(None)
    assert len(forgotten) == 2
    viewer.set_subject(three)
    assert len(forgotten) == 2


def test_the_map_of_a_tensor_goes_when_its_models_are_written_again(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path
) -> None:
    family, detail = tmp_path / "family", window.pictures.detail
    shutil.copytree(models, family)
    assert window.load_recipe(family / "recipe.yaml", tmp_path / "out")
    qtbot.waitUntil(lambda: window.observer.findings is not None and not window.observer.looking)
    window.layout_.show_detail()
    window.pictures.selection.select(column=2, kind=2)
    qtbot.waitUntil(lambda: detail._view_of_wanted is not None)
    seen: list[TensorView | None] = []
    window.observer.subject_changed.connect(lambda _: seen.append(detail._view_of_wanted))
    os.utime(family / "run-2" / "model.safetensors")
    window.refresh_models()
    qtbot.waitUntil(lambda: bool(seen))
    assert seen == [None]
    qtbot.waitUntil(lambda: not window.observer.looking)
