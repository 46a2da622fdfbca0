"""What tests of studies share."""

from __future__ import annotations

import pytest

from core.evaluate.statistics import resampling
from core.evaluate.verdict import choosing
from core.evaluate.verdict import comparing as verdict


@pytest.fixture(autouse=True)
def less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals and the luck of choosing have tests of their own; here a study only says them."""
    monkeypatch.setattr(choosing, "HALVINGS", 4)
    for module in (resampling, verdict):
        monkeypatch.setattr(module, "MOST_RESAMPLES", 1_999)
