"""Patterns of module names, as peft takes them, and none that could take for ever."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from core.checkpoint.adapter_patterns import BadPatternError, Patterns

MODULES = [
    f"model.{part}layers.{layer}.{name}"
    for part in ("", "vision.")
    for layer in (0, 1, 11)
    for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "xq_proj")
] + ["lm_head", "model.lm_head"]


def by_peft(given: dict[str, float], module: str) -> float:
    """peft 0.21, utils/other.py, get_pattern_key."""
    for key, value in given.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return -1


@pytest.mark.parametrize(
    "given",
    [
        {"q_proj": 1.0},
        {"layers.1.self_attn.q_proj": 1.0, "q_proj": 2.0},
        {"q_proj": 2.0, "layers.1.self_attn.q_proj": 1.0},
        {"model.layers.11.mlp.up_proj": 3.0, ".*up_proj": 4.0},
        {r"^model\.layers\.(0|1)\..*_proj": 5.0, "lm_head": 6.0},
        {r"layers\.\d+\.self_attn\.[qk]_proj": 7.0},
        {"proj": 1.0, "up_proj|q_proj": 2.0},
    ],
    ids=str,
)
def test_the_first_that_matches_counts(given: dict[str, float]) -> None:
    patterns = Patterns(given)
    found = {module: patterns.find(module, -1) for module in MODULES}
    assert found == {module: by_peft(given, module) for module in MODULES}
    assert len(set(found.values())) > 1 or "proj" in given


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", ".*.*.*x", "a{9}{9}b{9}", "(", "", 3, None, "x" * 501]
)
def test_what_is_refused(pattern: Any) -> None:
    with pytest.raises(BadPatternError):
        Patterns({pattern: 1.0})


def test_very_many_names_take_no_time() -> None:
    patterns = Patterns({f"model.layers.{layer}.q_proj": float(layer) for layer in range(20_000)})
    begun = time.process_time()
    assert all(patterns.find(f"model.layers.{layer}.q_proj", -1) == layer for layer in range(20_000))
    assert time.process_time() - begun < 2
