"""What tests of studies share."""

from __future__ import annotations

import pytest

from core.evaluate import choosing


@pytest.fixture(autouse=True)
def few_halvings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The luck of choosing has tests of its own; here a study only says it."""
    monkeypatch.setattr(choosing, "HALVINGS", 4)
