"""The right side of the window: the pictures, or a sentence where there are none."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.deltas.findings import Findings
from core.study.values import Study
from gui.pictures.agreement import AgreementPicture
from gui.pictures.comparison import ComparisonPicture
from gui.pictures.detail import DetailPicture
from gui.pictures.evaluated import Evaluation
from gui.pictures.export import copy_numbers, copy_picture
from gui.pictures.magnitude import MagnitudePicture
from gui.pictures.named import Named
from gui.pictures.picture import Picture
from gui.pictures.provenance import ProvenancePicture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.scores import ScoresPicture
from gui.pictures.selection import Selected, Selection
from gui.pictures.shown import Shown
from gui.pictures.source_line import SourceLine
from gui.pictures.tabs import PictureTabs
from gui.pictures.training import TrainingPicture
from gui.pictures.zero_deltas import ZeroDeltasPicture
from gui.widgets.plain import PlainLabel
from gui.widgets.theme import GRID, heading, secondary
from gui.words import percent_text

__all__ = ["PicturesPanel"]

_SHORT = {"&Zero deltas": "&Zeros"}
"""Titles of tabs in a narrow window."""


class PicturesPanel(QStackedWidget):
    """Shows the pictures, one at a time, or says what to do first.

    Attributes:
        selection: what is selected, in all of them.
        named: which models are marked in the last two pictures.
        zero_deltas, resampling, provenance, agreement, magnitude, comparison, scores, training: the
            pictures.
        detail: what is selected in them; it has a place of its own in the window.
        source: the line that says where the numbers come from.
        actions_: what can be done with the current picture, for menus.
        scores_action: goes to the scores, which need no models.

    Signals:
        demo_requested(): the button of the empty state was pressed.
        save_requested(object): a Picture is to be saved.
        detail_requested(): something was selected in a picture.
        built(): all plots were made.
    """

    demo_requested = Signal()
    save_requested = Signal(object)
    detail_requested = Signal()
    built = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._findings: Findings | None = None
        self._sentence = _Sentence()
        self._sentence.button.clicked.connect(self.demo_requested)
        self.selection = Selection(self)
        self.zero_deltas = ZeroDeltasPicture(self.selection)
        self.resampling = ResamplingPicture(self.selection)
        self.provenance = ProvenancePicture(self.selection)
        self.agreement = AgreementPicture(self.selection)
        self.magnitude = MagnitudePicture(self.selection)
        self.detail = DetailPicture(self.selection)
        self.comparison = ComparisonPicture(self.selection)
        self.named = Named(self.selection, self)
        self.scores = ScoresPicture(self.selection, self.named)
        self.training = TrainingPicture(self.selection, self.named)
        self.source = SourceLine()
        self.tabs = PictureTabs()
        self.tabs.setDocumentMode(True)
        self.tabs.setAccessibleName("Pictures")
        titled: tuple[tuple[Picture, str], ...] = (
            (self.zero_deltas, "&Zero deltas"),
            (self.resampling, "Resam&pling"),
            (self.provenance, "Prove&nance"),
            (self.agreement, "A&greement"),
            (self.magnitude, "Magnitu&de"),
            (self.comparison, "&Compare"),
            (self.scores, "Scores"),
            (self.training, "Training"),
        )
        for picture, title in titled:
            self.tabs.add(picture, title, _SHORT.get(title, title))
        for picture in self.pictures:
            picture.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            picture.customContextMenuRequested.connect(self._on_menu_requested)
        self.actions_ = self._make_actions()
        self.scores_action = QAction("Go to the &scores", self)
        self.scores_action.setShortcut("Ctrl+Alt+P")
        self.scores_action.triggered.connect(self.show_scores)
        self.tabs.setCornerWidget(self._corner())
        self._pictures = QWidget()
        column = QVBoxLayout(self._pictures)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.source)
        self.addWidget(self._sentence)
        self.addWidget(self._pictures)
        self.selection.changed.connect(self._on_selected)
        self.tabs.currentChanged.connect(self._on_tab_changed)
        self.say_what_to_do()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every picture, in the order of the tabs, and the detail."""
        found = (self.tabs.widget(at) for at in range(self.tabs.count()))
        return (*(picture for picture in found if isinstance(picture, Picture)), self.detail)

    @property
    def current(self) -> Picture:
        """The picture that the focus is in, or else the tab that is shown."""
        focus = QApplication.focusWidget()
        if focus is not None and self.detail.isAncestorOf(focus):
            return self.detail
        return self._current_tab

    @property
    def _current_tab(self) -> Picture:
        picture = self.tabs.currentWidget()
        assert isinstance(picture, Picture)
        return picture

    @property
    def sentence(self) -> str:
        """What is said in the place of pictures; "" while there are pictures."""
        return self._sentence.text() if self.currentWidget() is self._sentence else ""

    def say_what_to_do(self) -> None:
        """The empty state: nothing is loaded yet."""
        self._say(
            "Choose a base model and add the models that were fine-tuned from it",
            "Drop their folders anywhere on this window. Pictures of what fine-tuning changed appear here "
            "by themselves, before anything is merged.",
            offer_demo=True,
        )

    def say_next(self, title: str, text: str) -> None:
        """There is nothing to draw yet, and why."""
        self._say(title, text)

    @Slot(float)
    def show_compiling(self, share: float) -> None:
        """Say below the sentence how much is done, 0 to 1, of what is compiled at a first start."""
        self._sentence.show_compiling(share)

    def show_numbers(self, shown: Shown) -> None:
        """Show what is known; what is selected stays where it is the same network."""
        before, self._findings = self._findings, shown.findings
        if before is not self._findings and not _same_network(before, shown.findings):
            self.selection.clear()
        self.named.set_models(shown.findings.models if shown.findings is not None else ())
        self.source.show_source(shown)
        for picture in self.pictures:
            picture.show_numbers(shown)
        self.setCurrentWidget(self._pictures)

    @Slot()
    def build_soon(self) -> None:
        """Make the plots of one picture after the other, whenever the window has nothing else to do."""
        left = [picture for picture in self.pictures if not picture.built]
        if not left:
            self.built.emit()
            return
        left[0].build_now()
        QTimer.singleShot(0, self.build_soon)

    def _make_actions(self) -> list[QAction]:
        actions = []
        for text, keys, slot in (
            ("Show &all of the picture", "Ctrl+Alt+0", self._show_all),
            ("Select &nothing in the pictures", "Ctrl+Alt+N", self._select_nothing),
            ("&Copy the picture", "Ctrl+Alt+C", lambda: copy_picture(self.current)),
            ("Copy its n&umbers", "Ctrl+Alt+U", lambda: copy_numbers(self.current)),
            ("Sa&ve the picture…", "Ctrl+E", lambda: self.save_requested.emit(self.current)),
        ):
            action = QAction(text, self)
            action.setShortcut(keys)
            action.triggered.connect(slot)
            actions.append(action)
        return actions

    @Slot()
    def _select_nothing(self) -> None:
        self.selection.clear()
        self.named.clear()

    def _corner(self) -> QWidget:
        corner = QWidget()
        row = QHBoxLayout(corner)
        row.setContentsMargins(0, 0, 0, GRID // 2)
        row.setSpacing(GRID // 2)
        menu = QMenu(corner)
        menu.addActions(self.actions_)
        button = QToolButton()
        button.setText("Picture")
        button.setAutoRaise(True)
        button.setToolTip("Show all of it, copy it, save it")
        button.setAccessibleName("What can be done with the picture")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setMenu(menu)
        row.addWidget(button)
        return corner

    @Slot()
    def _show_all(self) -> None:
        if self.current.built:
            self.current.reset_view()

    @Slot()
    def _on_tab_changed(self) -> None:
        """What shows no numbers of the models needs no words on where these come from."""
        self.source.setVisible(self._current_tab.needs_models)

    @Slot()
    def _on_selected(self) -> None:
        if self.selection.value != Selected():
            self.detail_requested.emit()

    @Slot(QPoint)
    def _on_menu_requested(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picture = self.sender()
        assert isinstance(picture, Picture)
        if picture is self.detail and not picture.sentence:
            self.detail.table.setFocus(Qt.FocusReason.MouseFocusReason)
        menu.addActions(self.actions_)
        menu.popup(picture.mapToGlobal(position))

    def show_comparison(self) -> None:
        """Go to the comparison of runs, which needs no models."""
        self.tabs.setCurrentWidget(self.comparison)
        self.setCurrentWidget(self._pictures)

    def show_study(self, study: Study, name: str) -> None:
        """Show a study, which needs no models: its scores, or its curves where these are looked at.

        Args:
            study: what was found.
            name: of its folder.
        """
        self.scores.show_study(study, name)
        self.training.show_study(study)
        if self._current_tab is not self.training:
            self.tabs.setCurrentWidget(self.scores)
        self.setCurrentWidget(self._pictures)

    @Slot(object)
    def show_evaluation(self, evaluation: Evaluation | None) -> None:
        """Have the scores of an evaluation at hand; go there where nothing else can be seen."""
        before = self.scores.compares
        self.scores.show_evaluation(evaluation)
        nothing_else = self.currentWidget() is self._sentence and self._sentence.offers_demo
        if nothing_else and self.scores.compares and not before:
            self.show_scores()

    @Slot()
    def show_scores(self) -> None:
        """Go to the scores, which need no models."""
        self.tabs.setCurrentWidget(self.scores)
        self.setCurrentWidget(self._pictures)

    def _say(self, title: str, text: str, *, offer_demo: bool = False) -> None:
        self._findings = None
        self._sentence.say(title, text, offer_demo=offer_demo)
        self.source.show_source(Shown())
        for picture in self.pictures:
            picture.show_numbers(Shown())
        if not self._current_tab.in_use:
            self.setCurrentWidget(self._sentence)


def _same_network(one: Findings | None, other: Findings | None) -> bool:
    if one is None or other is None:
        return False
    return one.grid.tensors == other.grid.tensors and one.models == other.models


class _Sentence(QWidget):
    """A heading, a sentence and perhaps the button that opens the demo, in the middle.

    Attributes:
        compiling: how much is done of what is compiled at a first start; hidden at any other time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._title = heading("")
        self._text = PlainLabel()
        secondary(self._text)
        for label in (self._title, self._text):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = QPushButton("Open the demo")
        self.compiling = PlainLabel()
        secondary(self.compiling)
        self._bar = QProgressBar()
        self._bar.setRange(0, 0)  # it moves, since a part may take some seconds
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(GRID)
        self._bar.setAccessibleName("Compiling")
        self.show_compiling(1.0)
        column = QWidget()
        column.setFixedWidth(56 * GRID)
        lines = QVBoxLayout(column)
        lines.setSpacing(2 * GRID)
        lines.addWidget(self._title)
        lines.addWidget(self._text)
        lines.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        lines.addWidget(self._bar)
        lines.addWidget(self.compiling, 0, Qt.AlignmentFlag.AlignHCenter)
        row = QHBoxLayout()  # with an alignment in its place, wrapped lines would be cut off
        row.addStretch(1)
        row.addWidget(column)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)

    def show_compiling(self, share: float) -> None:
        self.compiling.setText(
            f"Compiling the arithmetic, once after the installation: {percent_text(share)}"
        )
        for part in (self._bar, self.compiling):
            part.setVisible(share < 1)

    @property
    def offers_demo(self) -> bool:
        """Whether it is the empty state, which says nothing that a user must know."""
        return not self.button.isHidden()

    def text(self) -> str:
        return f"{self._title.text()}. {self._text.text()}"

    def say(self, title: str, text: str, *, offer_demo: bool) -> None:
        self._title.setText(title)
        self._text.setText(text)
        self.button.setVisible(offer_demo)
