"""What scipy and statsmodels say, beside known_values.json, which quick tests compare with.

python tests/core/evaluate/statistics/test_statistics_oracles.py     writes known_values.json anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

KNOWN = Path(__file__).with_name("known_values.json")

FREEDOMS = (1, 2, 3, 5, 10, 19, 29, 48, 58, 59, 60, 61, 99, 499, 1000, 9_999, 100_001, 1e7)
STATISTICS = (0, 1e-9, 1e-3, 0.1, 0.5, 1, 1.5, 1.96, 2, 2.5, 3, 5, 8, 20, 38)
CONFIDENCES = (0.01, 0.5, 0.9, 0.95, 0.99, 0.9999)
EFFECTS = (0.01, 0.05, 0.1, 0.2, 0.5, 0.8)
ANSWERS = [(one, other) for one in range(0, 60, 3) for other in range(0, 60, 4)]
MANY_ANSWERS = [(4_900, 5_200), (20_000, 20_500), (3, 60)]


def values_of_the_libraries() -> dict[str, list[Any]]:
    """Each with its arguments first and then what scipy or statsmodels makes of them."""
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.power import TTestPower

    rng = np.random.default_rng(0)
    paired = []
    for count in range(2, 20):
        one, other = rng.normal(3, 1, (2, count))
        test = stats.ttest_rel(one, other)
        ends = test.confidence_interval(0.95)
        paired.append([(one - other).tolist(), float(test.pvalue), float(ends.low), float(ends.high)])
    holm = []
    for count in (1, 2, 5, 30):
        for _ in range(10):
            p = rng.random(count) ** 3
            holm.append([p.tolist(), multipletests(p, method="holm")[1].tolist()])
    exact, mid = [], []
    for one, other in ANSWERS:
        table = [[9, one], [other, 9]]
        exact.append([one, other, float(mcnemar(table, exact=True).pvalue) if one + other else 1.0])
        least = stats.binom.pmf(min(one, other), one + other, 0.5)
        below = stats.binom.cdf(min(one, other) - 1, one + other, 0.5)
        mid.append([one, other, float(2 * below + least)])
    exact += [
        [one, other, float(stats.binomtest(one, one + other, 0.5).pvalue)] for one, other in MANY_ANSWERS
    ]
    power = TTestPower()
    return {
        "two_sided_p": [[t, f, float(2 * stats.t.sf(t, f))] for f in FREEDOMS for t in STATISTICS],
        "t_quantile": [[c, f, float(stats.t.isf((1 - c) / 2, f))] for f in FREEDOMS for c in CONFIDENCES],
        "paired_t": paired,
        "holm": holm,
        "mcnemar_exact": exact,
        "mcnemar_mid": mid,
        "clopper_pearson": [
            [one, other, *map(float, stats.binomtest(other, one + other).proportion_ci(0.95, "exact"))]
            for one, other in [*ANSWERS, *MANY_ANSWERS]
            if one + other
        ],
        "samples_needed": [
            [
                effect,
                float(power.solve_power(effect_size=effect, alpha=0.05, power=0.8, alternative="two-sided")),
            ]
            for effect in EFFECTS
        ],
    }


def test_the_known_values_are_those_of_scipy_and_statsmodels() -> None:
    known, values = json.loads(KNOWN.read_text()), values_of_the_libraries()
    assert known.keys() == values.keys()
    for name, rows in values.items():
        assert len(known[name]) == len(rows)
        for row, expected in zip(known[name], rows, strict=True):
            for number, other in zip(row, expected, strict=True):
                assert number == pytest.approx(other, rel=1e-12, abs=1e-300), (name, row)


if __name__ == "__main__":
    lines = (
        f"{json.dumps(name)}: [\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]"
        for name, rows in values_of_the_libraries().items()
    )
    KNOWN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
