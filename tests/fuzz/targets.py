"""Every parser that is fuzzed: one function each, which takes bytes as somebody else may have written them.

Each returns when what was read is sound and as it promises, raises the error that users see when it is not,
and anything else where the parser is at fault.
"""

from __future__ import annotations

import model_targets  # noqa: F401 - fills TARGETS
import run_targets  # noqa: F401
from feeding import TARGETS, Target, feed

__all__ = ["TARGETS", "Target", "feed"]
