"""How far an evaluation is, as a thin bar that keeps its place when it is not seen."""

from __future__ import annotations

from PySide6.QtWidgets import QProgressBar

from gui.widgets.theme import GRID

__all__ = ["ShareBar"]

_STEPS = 1000


class ShareBar(QProgressBar):
    """Hidden at first."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, _STEPS)
        self.setTextVisible(False)
        self.setFixedHeight(GRID // 2)
        self.setAccessibleName("Progress of the evaluation")
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing moves
        self.setSizePolicy(policy)
        self.hide()

    def show_share(self, share: float) -> None:
        """Show a share of 0 to 1."""
        self.setValue(int(_STEPS * min(max(share, 0.0), 1.0)))
