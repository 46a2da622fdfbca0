"""Help: how a merge is made, what the pictures mean, and the keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QMenuBar, QTextBrowser, QVBoxLayout, QWidget

from gui.widgets.messages import without_icons
from gui.widgets.theme import GRID

__all__ = ["HelpDialog"]

_STEPS = (
    "Drop the base model on <b>Base</b> and the fine-tuned models, or the folder of a training run, on the "
    "list below it. Each is a folder as <i>save_pretrained</i> writes it. No models at hand? "
    "<b>File, Open the demo</b>. A base and data of your own? <b>Models, Make sub-models</b> fine-tunes "
    "the one on the other in K orders, in the background.",
    "Look at the pictures. They are there within a second, and refine themselves.",
    "Choose the method, and what it asks for: for parameter selection that is n, how often is drawn again "
    "where fine-tuning changed nothing, and the seed of the draws. <b>Change…</b> shows what a "
    "method such as TIES is made of.",
    "<b>Before you merge</b> says what it would read, write and take. Where something stands in the way, "
    "<b>Show me</b> goes there.",
    "Press <b>Merge</b>. The result is a folder that <i>transformers</i> loads; <b>Cancel</b> may keep what "
    "is finished, and <b>Resume</b> goes on from there.",
    "Press <b>Evaluate this merge</b>, and choose a file with samples that no model was trained on: the "
    "loss of each model is compared with that of a sub-model, row by row, and the verdict says what is more "
    "than chance. It goes on while you merge, and when the window is closed.",
    "Every run is in the <b>History</b>: reopen its recipe, or select two runs and press <b>Compare</b>.",
)
_WORDS = (
    ("Delta", "What fine-tuning added to a parameter. In bf16 most deltas are exactly zero."),
    (
        "Zero deltas",
        "Which share of the parameters the sub-models left as they were, by layer and kind of module; after "
        "a merge that drops changes or elects a sign, also what it left out.",
    ),
    (
        "Resampling",
        "What every n would leave on a zero delta, and from which n on a larger one brings little.",
    ),
    (
        "Provenance",
        "Which sub-model each layer of the result was taken from, and how much is as in the base.",
    ),
    ("Agreement", "Whether the sub-models changed the same parameters, and in the same direction."),
    (
        "Magnitude",
        "How far fine-tuning went in each layer; a sub-model that strays from the others is marked.",
    ),
    (
        "Try it",
        "Base, a sub-model and a merge answer the same prompt, side by side; what one says otherwise than "
        "another is underlined.",
    ),
    (
        "Sub-models",
        "Models, Make sub-models… fine-tunes the base on a file of yours, in several orders. It goes on "
        "while you merge, and when the window is closed; what was stopped goes on where it was.",
    ),
    ("Compare", "How many elements of two results differ, and what their merges counted."),
    (
        "Verdict",
        "Whether a model helps or hurts, or no difference is shown: by the differences of the losses on "
        "every row, and with all models counted that were compared.",
    ),
    (
        "Scores",
        "Which models help and which hurt, with 95 % intervals, and the samples that changed most: of an "
        "evaluation, or of a study that was opened.",
    ),
    (
        "Training",
        "Of a study: whether the loss depends on when a sample was seen, and how it went step by step.",
    ),
    (
        "Detail",
        "The numbers of what is selected. What is selected in one picture is selected in all of them.",
    ),
)
_OF_PANELS = (
    ("Tab, Shift+Tab", "Go to the next field, or the one before"),
    ("Arrow keys, Home, End", "In a picture, select the next cell; in a table, the next row"),
    ("Esc", "In a picture, select nothing; in a cell, take back what is typed"),
    ("Shift+Arrow, Ctrl+Click", "In the history, select more runs"),
    ("Space", "In the models that are evaluated, tick the selected one, or take its tick away"),
    ("Wheel", "Zoom a picture"),
)


class HelpDialog(QDialog):
    """A page to read beside the window, which stays in use.

    Attributes:
        page: the text.
    """

    def __init__(self, bar: QMenuBar, parent: QWidget) -> None:
        """Args:
        bar: the menus, whose keys are listed.
        parent: the window.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("How to use Paramosaic")
        self.page = QTextBrowser()
        self.page.setOpenExternalLinks(True)
        self.page.setAccessibleName("Help")
        self.page.setHtml(_html(bar))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        without_icons(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        layout.setSpacing(GRID)
        layout.addWidget(self.page, 1)
        layout.addWidget(buttons)
        self.resize(80 * GRID, min(76 * GRID, max(40 * GRID, parent.height() - 8 * GRID)))
        self.page.setFocus()


def _html(bar: QMenuBar) -> str:
    steps = "".join(f"<li>{step}</li>" for step in _STEPS)
    parts = [
        f"<h3>A merge, step by step</h3><ol>{steps}</ol>",
        "<h3>What the pictures mean</h3>",
        _table(_WORDS),
    ]
    parts.append(
        "<p>Parameter selection with zero-delta resampling is described in "
        '<a href="https://arxiv.org/abs/2410.03743">arXiv:2410.03743</a>.</p>'
    )
    for title, keys in (*_menus(bar), ("Everywhere", _OF_PANELS)):
        parts.append(f"<h3>Keys: {escape(title)}</h3>{_table(keys)}")
    return "".join(parts)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><td style="padding-right: {2 * GRID}px"><b>{escape(one)}</b></td><td>{escape(other)}</td></tr>'
        for one, other in rows
    )
    return f"<table cellpadding={GRID // 4}>{cells}</table>"


def _menus(bar: QMenuBar) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The title of each menu that has keys, and (keys, what they do)."""
    for top in bar.actions():
        menu = top.menu()
        entries = menu.actions() if isinstance(menu, QWidget) else []  # a QMenu, whose type Qt does not say
        keys = [(_keys_text(entry), _plain(entry.text())) for entry in entries if entry.shortcuts()]
        if keys:
            yield _plain(top.text()), keys


def _keys_text(action: QAction) -> str:
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(keys.toString(native) for keys in action.shortcuts())


def _plain(text: str) -> str:
    """The words of a menu without the marks of its keys."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").removesuffix("…")
