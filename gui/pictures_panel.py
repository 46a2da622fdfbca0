"""The right side of the window: the pictures, or a sentence where there are none."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui.pictures.data import Pictures
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.zero_delta_map import ZeroDeltaMapPicture
from gui.theme import GRID, heading, secondary

__all__ = ["PicturesPanel"]


class PicturesPanel(QStackedWidget):
    """Shows the pictures, one at a time, or says what to do first.

    Attributes:
        zero_delta_map, resampling: the pictures.

    Signals:
        demo_requested(): the button of the empty state was pressed.
    """

    demo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._sentence = _Sentence()
        self._sentence.button.clicked.connect(self.demo_requested)
        self.zero_delta_map = ZeroDeltaMapPicture()
        self.resampling = ResamplingPicture()
        self._pictures = QTabWidget()
        self._pictures.setDocumentMode(True)
        self._pictures.setAccessibleName("Pictures")
        self._pictures.addTab(self.zero_delta_map, "&Zero deltas")
        self._pictures.addTab(self.resampling, "Resam&pling")
        self.addWidget(self._sentence)
        self.addWidget(self._pictures)
        self.say_what_to_do()

    @property
    def sentence(self) -> str:
        """What is said in the place of pictures; "" while there are pictures."""
        return self._sentence.text() if self.currentWidget() is self._sentence else ""

    def say_what_to_do(self) -> None:
        """The empty state: nothing is loaded yet."""
        self._say(
            "Choose a base model and add the models that were fine-tuned from it",
            "Drop their folders anywhere on this window. While a merge runs, pictures of what "
            "fine-tuning left as it was fill in here.",
            offer_demo=True,
        )

    def say_next(self, *, ready: bool) -> None:
        """Nothing has run yet."""
        title = "Press Merge" if ready else "Nothing has been merged yet"
        self._say(title, "The pictures fill in while the merge runs.")

    def say_no_deltas(self, method: str) -> None:
        """The method looks at no deltas, so there is nothing to draw."""
        self._say(
            f"No pictures for “{method}”",
            "This method looks at no deltas: it reads the sub-models without comparing them with the base.",
        )

    def show_pictures(self, pictures: Pictures) -> None:
        self.zero_delta_map.show_pictures(pictures)
        self.resampling.show_pictures(pictures)
        self.setCurrentWidget(self._pictures)

    def _say(self, title: str, text: str, *, offer_demo: bool = False) -> None:
        self._sentence.say(title, text, offer_demo=offer_demo)
        self.setCurrentWidget(self._sentence)


class _Sentence(QWidget):
    """A heading, a sentence and perhaps the button that opens the demo, in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._title = heading("")
        self._text = QLabel()
        secondary(self._text)
        for label in (self._title, self._text):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = QPushButton("Open the demo")
        column = QWidget()
        column.setFixedWidth(56 * GRID)
        lines = QVBoxLayout(column)
        lines.setSpacing(2 * GRID)
        lines.addWidget(self._title)
        lines.addWidget(self._text)
        lines.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        row = QHBoxLayout()  # with an alignment in its place, wrapped lines would be cut off
        row.addStretch(1)
        row.addWidget(column)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)

    def text(self) -> str:
        return f"{self._title.text()}. {self._text.text()}"

    def say(self, title: str, text: str, *, offer_demo: bool) -> None:
        self._title.setText(title)
        self._text.setText(text)
        self.button.setVisible(offer_demo)
