"""What tests of studies share."""

from __future__ import annotations

import pytest

from core.evaluate.statistics import resampling
from core.evaluate.verdict import comparing as verdict
from core.evaluate.verdict import winners_curse


@pytest.fixture(autouse=True)
def less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals and the luck of choosing have tests of their own; here a study only says them."""
    monkeypatch.setattr(winners_curse, "HALVINGS", 4)
    for module in (resampling, verdict):
        monkeypatch.setattr(module, "MOST_RESAMPLES", 1_999)
