"""Tiny models on disk, a window beside them, and no thread left behind."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QPoint, QPointF, Qt, QThread, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from core import (
    Cancelled,
    CancelToken,
    Leftover,
    Progress,
    disk,
    leftover_of,
    load_recipe,
    plan_merge,
    run_merge,
)
from core.run.merging import MergeWork
from core.run.passes import Done
from core.run.work import Chunk, Slot
from core.runs.history import History
from gui.document.merge_setup import MergeSetup
from gui.document.opening import setup_of_recipe
from gui.jobs import Job
from gui.settings import Settings
from gui.window.window import MainWindow

LAYERS = 3


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Deletes what a test has closed: it would hear of every theme that later tests choose."""
    yield
    if QCoreApplication.instance() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, run-1, run-2, run-3 and recipe.yaml; bf16, three layers, three deltas in four at zero."""
    folder = tmp_path_factory.mktemp("models")
    generator = torch.Generator().manual_seed(1)
    shapes = {"model.embed_tokens.weight": (50, 16), "model.norm.weight": (16,)}
    for layer in range(LAYERS):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (16, 16)
        shapes[f"model.layers.{layer}.mlp.up_proj.weight"] = (48, 16)
    base = {name: torch.randn(shape, generator=generator).bfloat16() for name, shape in shapes.items()}
    for name in ("base", "run-1", "run-2", "run-3"):
        tensors = dict(base)
        if name != "base":
            for key, value in base.items():
                moved = torch.rand(value.shape, generator=generator) < 0.25
                tensors[key] = torch.where(moved, value * 1.5 + 0.125, value)
        (folder / name).mkdir()
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "llama", "vocab_size": 50, "torch_dtype": "bfloat16"}
        (folder / name / "config.json").write_text(json.dumps(config))
    entries = "".join(f"  - model: run-{number}\n" for number in (1, 2, 3))
    (folder / "recipe.yaml").write_text(
        "merge_method: parameter_selection\nbase_model: base\n"
        f"models:\n{entries}parameters: {{resamples: 4}}\nseed: 7\n"
    )
    return folder


@pytest.fixture(autouse=True)
def nothing_left_beside_the_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Removes what a test has put beside the models, which all tests share, once its window is closed."""
    if "models" not in request.fixturenames:
        yield
        return
    folder: Path = request.getfixturevalue("models")
    before = set(folder.iterdir())
    yield
    for path in set(folder.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a first start."""
    return Settings(tmp_path_factory.mktemp("settings") / "settings.ini")


@pytest.fixture
def window(
    qtbot: QtBot,
    settings: Settings,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MainWindow]:
    """A window without a history, whose current directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    window = MainWindow(settings, History(tmp_path_factory.mktemp("data") / "history"))
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close_at_once()
    qtbot.waitUntil(lambda: not window.merging and not window.isVisible())
    assert not [timer for timer in window.findChildren(QTimer) if timer.isActive()]


@pytest.fixture(autouse=True)
def no_thread_left_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test that ends while a job's thread still runs."""
    started: list[Job] = []

    def start(job: Job) -> None:
        started.append(job)
        QThread.start(job)

    monkeypatch.setattr(Job, "start", start)
    yield
    assert not [job for job in started if job.isRunning()]


@pytest.fixture(scope="session")
def compiled(models: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The arithmetic of merges is compiled, which at the very first time takes longer than tests wait."""
    run_merge(plan_merge(load_recipe(models / "recipe.yaml")), tmp_path_factory.mktemp("compiled") / "out")


@pytest.fixture
def before_chunks(compiled: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has merges call something before they read a chunk, in a worker's thread."""

    def set_up(call: Callable[[], None]) -> None:
        make_slot = MergeWork.slot

        def calling_slot(self: MergeWork) -> Slot[Chunk, Done]:
            slot = make_slot(self)
            fill = slot.fill

            def calling_fill(chunk: Chunk) -> None:
                call()
                fill(chunk)

            monkeypatch.setattr(slot, "fill", calling_fill)
            return slot

        monkeypatch.setattr(MergeWork, "slot", calling_slot)

    return set_up


@pytest.fixture
def cut_off(models: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Leftover]:
    """Has a merge of the recipe into a folder cancelled half way, and what it has finished kept."""

    def merge(out: Path) -> Leftover:
        token = CancelToken()
        begun = threading.Event()
        written: list[int] = []

        class Stopping(disk.System):
            def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
                written.append(offset)
                if len(written) == 5:
                    assert begun.wait(30)
                    token.cancel(keep=True)
                return super().write_at(descriptor, data, offset)

        def on_progress(progress: Progress) -> None:
            if progress.bytes_done:
                begun.set()

        setup = setup_of_recipe(load_recipe(models / "recipe.yaml"), MergeSetup("", None, (), 0))
        plan = plan_merge(setup.recipe())
        with monkeypatch.context() as patch:
            patch.setattr(disk, "system", Stopping())
            with pytest.raises(Cancelled):
                run_merge(plan, out, threads=1, cancel=token, progress=on_progress)
        left = leftover_of(out)
        assert left is not None
        assert 0 < left.fraction < 1
        return left

    return merge


@pytest.fixture
def held_merge(before_chunks: Callable[[Callable[[], None]], None]) -> Iterator[SimpleNamespace]:
    """Merges stop at their second chunk, which sets `reached`, until `released` is set."""
    held = SimpleNamespace(reached=threading.Event(), released=threading.Event())
    begun: list[None] = []

    def wait() -> None:
        begun.append(None)
        if len(begun) > 1:
            held.reached.set()
            assert held.released.wait(30)

    before_chunks(wait)
    yield held
    held.released.set()


@pytest.fixture
def drop() -> Callable[..., None]:
    """Drops files onto a widget as a file manager does: enter, then drop."""

    def drop_onto(widget: QWidget, *paths: Path) -> None:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        action, button, keys = (
            Qt.DropAction.CopyAction,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        enter = QDragEnterEvent(QPoint(5, 5), action, mime, button, keys)
        widget.dragEnterEvent(enter)
        assert enter.isAccepted()
        widget.dropEvent(QDropEvent(QPointF(5, 5), action, mime, button, keys))

    return drop_onto
