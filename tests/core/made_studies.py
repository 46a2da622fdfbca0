"""Made-up scores and studies, with numbers that can be told from each other."""

from __future__ import annotations

import numpy as np
from made_scores import made_scores

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparison import Comparison
from core.study.values import ChangedSample, Curve, Spread, Study, StudyRow

REFERENCE = "order-2"


def comparison(name: str, low: float, high: float, verdict: str) -> Comparison:
    """Of a difference in the middle of its interval."""
    middle = (low + high) / 2
    return Comparison(
        name=name,
        reference=REFERENCE,
        n=60,
        clusters=None,
        measure="loss",
        difference=middle,
        low=low,
        high=high,
        p=0.001,
        p_holm=0.004,
        verdict=verdict,
        samples_needed=None,
        compared=4,
    )


def row(
    key: str, kind: str, members: tuple[str, ...], loss: float, compared: Comparison | None, note: str = ""
) -> StudyRow:
    return StudyRow(key, key, kind, members, Spread(loss, None, loss), comparison=compared, note=note)


def curve(label: str, role: str, means: tuple[float, ...], half: float = 0.0) -> Curve:
    """At places 10, 20, …"""
    x = tuple(10.0 * (at + 1) for at in range(len(means)))
    low, high = (tuple(mean + sign * half for mean in means) for sign in (-1, 1))
    return Curve(label, role, x, means, low, high)


def study(*, curves: bool = True) -> Study:
    """Three orders, their average, two selections and a control, which explains the gain."""
    orders = ("order-1", "order-2", "order-3")
    rows = (
        row("base", "base", ("base",), 6.12, comparison("base", 0.06, 0.08, "hurts")),
        row("single", "single", orders, 6.05, None),
        row(
            "average",
            "merge",
            ("average",),
            6.05,
            comparison("average", -0.002, 0.004, "no difference shown"),
        ),
        row(
            "selection", "merge", ("draw-1", "draw-2"), 6.04, comparison("selection", -0.009, -0.005, "helps")
        ),
        row("scaled", "control", ("scaled",), 5.9, comparison("scaled", -0.2, -0.16, "helps"), "λ = 2"),
    )
    levels = (3.0, 3.1, 3.2)
    positions = tuple(
        curve(name, "single", (level, level + 0.1, level + 0.2, level), 0.05)
        for name, level in zip(orders, levels, strict=True)
    )
    differences = (
        *(curve(name, "single", (-0.1, 0.0, 0.2, -0.1)) for name in orders),
        curve("mean of 3 orders", "mean", (-0.1, 0.0, 0.2, -0.1), 0.02),
    )
    anchor = (
        curve("order-1", "anchor", (3.0, 2.9, 2.8, 2.7), 0.05),
        curve("order-2", "sub-model", (3.1, 3.1, 3.0, 3.0), 0.05),
        curve("order-3", "sub-model", (3.2, 3.1, 3.1, 3.0), 0.05),
        curve("draw-1", "merge", (2.6, 2.6, 2.6, 2.5), 0.02),
    )
    steps = (
        curve("single (mean of 3)", "single", (3.4, 3.3), 0.04),
        curve("draw-1", "merge", (3.2, 3.1)),
    )
    return Study(
        rows=rows,
        sentence="Selection lowers the loss, but one sub-model with its task vector × 2 does so, too.",
        advice=None,
        choosing=(),
        positions=positions if curves else (),
        differences=differences if curves else (),
        anchor=anchor if curves else (),
        steps=steps if curves else (),
        changed=(
            ChangedSample(17, "the sample in line 17", 7.25, 6.5),
            ChangedSample(4, "another one\nof two lines", 5.0, 5.5),
        ),
        reference=REFERENCE,
        best="selection",
        n_samples=60,
        imbalance="No training imbalance is shown." if curves else "",
        notes=() if curves else ("order-1 does not come from `paramosaic train`, so its order is not known",),
        data={"validation": {"name": "held-out.jsonl"}, "training": {"name": "train.jsonl"}},
        machine="two cores",
        seconds=61.0,
    )


def scores(name: str, loss: list[float], *, tokens: int = 4, tokenizer: str = "t") -> Scores:
    """Of the lines 1, 2, …; NaN for one in which nothing is scored."""
    return made_scores(
        name,
        loss,
        path=f"/models/{name}",
        data_digest="0" * 32,
        tokens=np.where(np.isnan(loss), 0, tokens),
        text_bytes=np.full(len(loss), 8),
        tokenizer_digest=tokenizer,
    )
