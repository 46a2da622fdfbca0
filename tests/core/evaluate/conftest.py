"""What tests that load models share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> Iterator[None]:
    """Whatever was imported need not be looked through each time that a model is let go of: that takes ten
    times as long as such a small model takes to load."""
    if "transformers" not in sys.modules:
        yield
        return
    from transformers import LlamaForCausalLM

    assert LlamaForCausalLM  # imported when it is asked for
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
