"""At a first start the pictures' place says how much of the arithmetic is compiled."""

from __future__ import annotations

from PySide6.QtWidgets import QProgressBar

from gui.window.window import MainWindow


def test_the_share_is_said_while_something_is_compiled(window: MainWindow) -> None:
    bar = window.pictures.findChild(QProgressBar)
    assert bar is not None
    label = window.pictures._sentence.compiling
    assert not bar.isVisible()
    window.checker.compiling.emit(0.28)
    assert bar.isVisible()
    assert label.isVisible()
    assert label.text() == "Compiling the arithmetic, once after the installation: 28 %"
    window.checker.compiling.emit(1.0)
    assert not bar.isVisible()
    assert not label.isVisible()
