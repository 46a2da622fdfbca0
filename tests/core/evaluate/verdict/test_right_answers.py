"""What is said of right answers in groups and without losses, and of the samples that a difference takes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from made_scores import made_scores

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparing import adjusted_together, compare
from core.evaluate.verdict.comparison import Comparison

RNG = np.random.default_rng(17)
N = 40
BASE = RNG.normal(3, 1, N)
NOISE = RNG.normal(0, 0.01, N)
NOISE -= NOISE.mean()
SINGLE = made_scores("single", BASE)


def alone(reference: Scores, candidate: Scores, groups: list[str] | None = None) -> Comparison:
    return compare(reference, [candidate], groups=groups)[0]


def in_groups(*sizes: tuple[int, int, int]) -> tuple[Scores, Scores, list[str]]:
    """A reference and a candidate with equal losses, and the group of each sample.

    Args:
        sizes: of each group how many only the candidate answers rightly, only the reference, and both.
    """
    reference: list[bool] = []
    candidate: list[bool] = []
    groups: list[str] = []
    for number, (won, lost, both) in enumerate(sizes):
        reference += [False] * won + [True] * (lost + both)
        candidate += [True] * won + [False] * lost + [True] * both
        groups += [f"g{number}"] * (won + lost + both)
    loss = np.resize(BASE, len(groups))
    return (
        made_scores("single", loss, correct=np.array(reference)),
        made_scores("merge", loss, correct=np.array(candidate)),
        groups,
    )


def test_votes_of_groups_against_the_samples_show_nothing() -> None:
    """28 small groups are for the reference, 4 large ones for the candidate, which has more right answers."""
    reference, candidate, groups = in_groups(*[(0, 1, 2)] * 28, *[(20, 0, 20)] * 4)
    found = alone(reference, candidate, groups=groups)
    assert found.accuracy_difference is not None
    assert found.accuracy_difference > 0.2
    assert found.mcnemar_p is not None
    assert found.mcnemar_p < 0.001
    assert found.accuracy_verdict == "no difference shown"
    assert (found.votes_reference, found.votes_candidate, found.answers_needed) == (28, 4, None)
    assert "Each group has one vote: 4 for merge, 28 for single. All answers together go" in found.sentence
    assert "a difference is shown only where both agree." in found.sentence
    (other,) = adjusted_together([[found]])[0]
    assert other == found
    # Likewise where only right and wrong are known, and where the samples go no way at all.
    nothing = np.full(len(groups), math.nan)
    bare = [made_scores(two.name, nothing, correct=two.correct) for two in (reference, candidate)]
    found = alone(*bare, groups=groups)
    assert (found.measure, found.verdict, found.samples_needed) == (
        "right answers",
        "no difference shown",
        None,
    )
    assert "28 for single" in found.sentence
    assert "The interval is of the mean over samples, and the verdict by the votes of gr" in found.sentence
    reference, candidate, groups = in_groups(*[(0, 1, 2)] * 28, (28, 0, 2))
    assert alone(reference, candidate, groups=groups).accuracy_verdict == "no difference shown"


def test_votes_of_groups_that_go_the_way_of_the_samples_count() -> None:
    reference, candidate, groups = in_groups(*[(0, 1, 2)] * 28, *[(2, 0, 2)] * 4)
    found = alone(reference, candidate, groups=groups)
    assert found.accuracy_verdict == "hurts"
    assert "Each group has one vote: 4 for merge, 28 for single." in found.sentence
    # So many samples as the votes take: 32 groups of about 3 samples.
    reference, candidate, groups = in_groups(*[(0, 1, 2)] * 18, *[(1, 0, 2)] * 14)
    found = alone(reference, candidate, groups=groups)
    assert found.accuracy_verdict == "no difference shown"
    assert found.answers_needed == 3 * answers_needed_of(18, 14, 32)


def answers_needed_of(one: int, other: int, count: int) -> int:
    discordant, net = (one + other) / count, (one - other) / count
    root = 1.959963985 * math.sqrt(discordant) + 0.841621234 * math.sqrt(discordant - net * net)
    return math.ceil((root / net) ** 2)


def test_samples_needed_among_several_are_for_the_level_that_is_left() -> None:
    """With 0.05 / 12, z is 2.8653: whoever blames the others must count them."""
    candidate = made_scores("merge", BASE + NOISE + 0.001)
    (single,) = compare(SINGLE, [candidate])
    found, *_ = compare(SINGLE, [candidate, *[made_scores("same", BASE)] * 11])
    spread = NOISE.std(ddof=1)
    level = NormalDist().inv_cdf(1 - 0.05 / 12 / 2)
    expected = math.ceil(((level + 0.841621234) * spread / 0.001) ** 2 + level**2 / 2)
    assert found.samples_needed == expected > (single.samples_needed or 0)
    assert "samples to show among 12 compared (p ≤ 0.05 / 12)." in found.sentence
    assert "samples to show." in single.sentence
    # What is adjusted later says so of all of it.
    (later,) = adjusted_together([[single], *[compare(SINGLE, [made_scores("same", BASE)])] * 11])[0]
    assert (later.samples_needed, later.compared) == (expected, 12)


@pytest.mark.parametrize(("more", "fewer"), [(6, 0), (5, 0), (20, 8), (19, 9), (9, 19), (8, 20), (3, 3)])
def test_the_interval_of_right_answers_is_that_of_their_test(more: int, fewer: int) -> None:
    nothing = np.full(N, math.nan)
    before, after = np.zeros(N, bool), np.zeros(N, bool)
    after[:more], before[more : more + fewer] = True, True
    reference = made_scores("single", nothing, correct=before)
    found = alone(reference, made_scores("merge", nothing, correct=after))
    assert found.difference == pytest.approx((more - fewer) / N)
    assert found.low <= found.difference <= found.high
    assert (found.low > 0 or found.high < 0) == (found.p <= 0.05)
    shown = "helps" if more > fewer else "hurts"
    assert found.verdict == (shown if found.p <= 0.05 else "no difference shown")
