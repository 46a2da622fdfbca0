"""What all tests of evaluating share."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True)
def no_collection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is let go of by a collection, which looks at all that a session of tests holds: half a second
    for each. Tests that are about memory have it."""
    if "memory" not in request.node.name:
        monkeypatch.setattr(gc, "collect", lambda generation=2: 0)
