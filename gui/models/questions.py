"""What is asked before models are added: only where there is something to decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QMessageBox, QWidget

from core.checkpoint.model import model_names
from core.text import one_line
from gui.widgets.plain import menu_text
from gui.widgets.question_box import QuestionBox
from gui.words import plural

__all__ = ["ask_to_add", "ask_what_a_base_is"]

_MOST_NAMED = 3


def ask_to_add(
    parent: QWidget,
    models: list[Path],
    *,
    holder: str,
    about: str,
    present: int,
    base: Path | None,
    before: str,
    then: Callable[[bool], object],
) -> None:
    """Do `then` if they may be added; it is told whether `base` is to be the base.

    Args:
        parent: above which it is asked.
        models: that would be added beside `base`, at least one.
        holder: where they are, "" for nowhere in particular.
        about: which of those that are there these are; "" where they are all.
        present: how many more are in the list already.
        base: what they seem to be fine-tuned from, or None.
        before: what the base is called now, "" for none.
        then: adds them.
    """
    count = plural(len(models), "model")
    the = f"the {count} in {holder}" if holder else count
    told = [_listed([one_line(name) for name in model_names(models)]), *([about] if about else [])]
    if present:
        told.append(f"{plural(present, 'other')} {'is' if present == 1 else 'are'} in the list already.")
    if base is not None:
        told.append(
            f"{one_line(base.name)} seems to be the model that they were fine-tuned from. "
            "Without the tick it is added like the others."
        )
    box = QuestionBox(parent, f"Add {the}?", "\n\n".join(told))
    add = box.addButton(f"Add {count}", QMessageBox.ButtonRole.AcceptRole)
    tick: QCheckBox | None = None
    if base is not None:
        instead = f", in place of {menu_text(before)}" if before else ""
        tick = QCheckBox(f"&Use {menu_text(base.name)} as the base model{instead}")
        tick.setChecked(not before)
        box.setCheckBox(tick)
    _finish(box, add)
    add.clicked.connect(lambda: then(tick is not None and tick.isChecked()))
    box.open()


def ask_what_a_base_is(parent: QWidget, model: Path, before: str, then: Callable[[bool], object]) -> None:
    """Do `then`, which is told whether `model`, which seems to be a base, is to be the base, or a sub-model.

    `before` is what the base is called now, "" for none.
    """
    instead = f" in place of {one_line(before)}" if before else ""
    box = QuestionBox(
        parent,
        f"Use {one_line(model.name)} as the base model{instead}?",
        "By its name, or by what the other models say, they were fine-tuned from it.",
    )
    base = box.addButton("&Use it as the base", QMessageBox.ButtonRole.AcceptRole)
    other = box.addButton("&Add it to the list", QMessageBox.ButtonRole.ActionRole)
    _finish(box, base)
    base.clicked.connect(lambda: then(True))
    other.clicked.connect(lambda: then(False))
    box.open()


def _listed(names: list[str]) -> str:
    """ "model-1, model-2, model-3 … model-60"."""
    if len(names) <= _MOST_NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} … {names[-1]}"


def _finish(box: QMessageBox, default: QWidget) -> None:
    cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(default)  # type: ignore[call-overload]
    box.setEscapeButton(cancel)
