"""How much of the gain of the best of several is the luck of choosing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_scores import DIGEST, made_scores

from core.errors import DataError
from core.evaluate.statistics.resampling import halves
from core.evaluate.verdict.winners_curse import HALVINGS, winners_curse_of, winners_curse_sentence

RNG = np.random.default_rng(29)


def test_it_is_that_of_a_plain_loop() -> None:
    losses = [RNG.normal(3, 1, 25) for _ in range(4)]
    seen, kept = [], []
    for split in range(HALVINGS):
        for here, there in (halves(DIGEST, 25, split), halves(DIGEST, 25, split)[::-1]):
            means = [losses[m][here].mean() for m in range(4)]
            best = means.index(min(means))
            seen.append(np.mean(means) - means[best])
            kept.append(np.mean([losses[m][there].mean() for m in range(4)]) - losses[best][there].mean())
    found = winners_curse_of(losses, data_digest=DIGEST)
    assert found.seen == pytest.approx(np.mean(seen))
    assert found.kept == pytest.approx(np.mean(kept))
    assert found.luck == pytest.approx(np.mean(seen) - np.mean(kept))
    assert found.best == int(np.argmin([one.mean() for one in losses]))
    assert found.gain == pytest.approx(np.mean(losses) - min(one.mean() for one in losses))


def test_of_equals_all_is_luck() -> None:
    """Over 60 sets of data, on which five models of one quality were scored."""
    found = [
        winners_curse_of([RNG.normal(0, 1, 40) for _ in range(5)], data_digest=f"{number:032x}")
        for number in range(60)
    ]
    seen = np.array([one.seen for one in found])
    kept = np.array([one.kept for one in found])
    assert seen.mean() > 0.2  # the largest of 5 means of 20, 1.16 / √20, roughly
    assert abs(kept.mean()) < 3 * kept.std() / math.sqrt(60)
    assert kept.mean() < 0.2 * seen.mean()


def test_of_a_plain_difference_nothing_is_luck() -> None:
    shared = RNG.normal(3, 1, 100)
    losses = [shared + shift + RNG.normal(0, 0.01, 100) for shift in (0.5, 0, 0.5)]
    found = winners_curse_of(losses, data_digest=DIGEST)
    assert found.best == 1
    assert found.seen == pytest.approx(1 / 3, abs=0.01)
    assert abs(found.luck) < 0.001


def test_the_luck_is_the_same_against_any_reference() -> None:
    losses = [RNG.normal(3, 1, 60) for _ in range(4)]
    mean = winners_curse_of(losses, data_digest=DIGEST)
    other = winners_curse_of(losses, data_digest=DIGEST, reference=np.full(60, 4.0), reference_name="single")
    assert other.luck == pytest.approx(mean.luck)
    assert other.gain == pytest.approx(4 - losses[mean.best or 0].mean())
    assert "the best of 4 (over single, on" in other.sentence


def test_groups_are_halved_as_a_whole() -> None:
    """Two samples of a group have one loss: it is as if there were half of them."""
    losses = [RNG.normal(3, 1, 30) for _ in range(3)]
    once = winners_curse_of(losses, data_digest=DIGEST)
    twice = winners_curse_of(
        [np.repeat(one, 2) for one in losses], data_digest=DIGEST, groups=[str(row // 2) for row in range(60)]
    )
    assert (twice.seen, twice.kept) == pytest.approx((once.seen, once.kept))
    assert (twice.n, twice.units) == (60, 30)


def test_what_has_no_number_is_left_out() -> None:
    losses = [RNG.normal(3, 1, 30) for _ in range(3)]
    holes = [one.copy() for one in losses]
    holes[1][4] = math.nan
    found = winners_curse_of(holes, data_digest=DIGEST)
    assert found == winners_curse_of([np.delete(one, 4) for one in losses], data_digest=DIGEST)
    assert found.n == 29


def test_the_sentence() -> None:
    found = winners_curse_of([RNG.normal(3, 1, 40) for _ in range(6)], data_digest=DIGEST)
    assert 0 < found.kept < found.seen or found.luck > found.seen
    assert found.sentence == (
        f"Of the gain of {found.seen:.4f} nats a token seen by the best of 6 (over the mean of all, on "
        "the half of the samples on which it was chosen), "
        f"{found.luck:.4f} is the luck of choosing; on the other half it is {found.kept:.4f}."
    ).replace("-", "−")
    sure = winners_curse_of([np.zeros(40), np.full(40, 0.9)], data_digest=DIGEST)
    assert "), nothing is the luck of choosing; on the other half it is 0.4500." in sure.sentence


@pytest.mark.parametrize(
    ("count", "samples", "said"),
    [
        (0, 0, "There is nothing to choose from"),
        (1, 30, "There is nothing to choose from"),
        (3, 0, "0 samples are too few to say"),
        (3, 1, "1 samples are too few to say"),
        (3, 19, "19 samples are too few to say"),
    ],
)
def test_where_nothing_can_be_said(count: int, samples: int, said: str) -> None:
    found = winners_curse_of([RNG.normal(3, 1, samples) for _ in range(count)], data_digest=DIGEST)
    assert found.sentence.startswith(said)
    if count == 1:
        assert (found.best, found.seen, found.luck) == (0, 0, 0)


def test_equals_to_the_last_bit() -> None:
    same = RNG.normal(3, 1, 40)
    found = winners_curse_of([same, same.copy()], data_digest=DIGEST)
    assert found.sentence == "The best of 2 shows no gain over the mean of all."


def test_unlike_candidates_are_refused() -> None:
    with pytest.raises(DataError, match="not the same number of samples"):
        winners_curse_of([np.zeros(30), np.zeros(29)], data_digest=DIGEST)


def test_whoever_takes_the_best_of_several_models_is_told() -> None:
    base = RNG.normal(3, 1, 60)
    losses = [base - 0.1 + RNG.normal(0, 0.2, 60) for _ in range(5)]
    reference = made_scores("base", base)
    models = [made_scores(f"seed {number}", loss) for number, loss in enumerate(losses)]
    found = winners_curse_of(losses, data_digest=DIGEST, reference=base, reference_name="base")
    assert found.luck > 0
    said = winners_curse_sentence(reference, models)
    assert said == found.sentence
    assert f"Of the gain of {found.seen:.4f} nats a token seen by the best of 5 (over base, " in said
    assert winners_curse_sentence(reference, models[:1]) == ""
    assert (
        winners_curse_sentence(reference, [made_scores("worse", base + 1), made_scores("too", base + 2)])
        == ""
    )
    few = [replace(one, loss=one.loss[:10]) for one in (reference, *models)]
    few = [made_scores(one.name, one.loss) for one in few]
    assert winners_curse_sentence(few[0], few[1:]) == ""


def test_choosing_is_measured_as_verdicts_are() -> None:
    base, better = np.full(40, 2.0), RNG.normal(1, 0.1, 40)
    other = made_scores("other", better, tokenizer_digest="two")
    said = winners_curse_sentence(made_scores("base", base), [made_scores("same", base - 0.01), other])
    gain = (2.0 - better.mean()) * 10 / np.log(2) / 40
    assert f"Of the gain of {gain:.4f} bits a byte" in said
    nothing = np.full(40, np.nan)
    right = [np.arange(40) % 4 < part for part in (1, 2, 3)]
    said = winners_curse_sentence(
        made_scores("base", nothing, correct=right[0]),
        [made_scores(f"{part}", nothing, correct=right[part]) for part in (1, 2)],
    )
    assert "Of the gain of 0.5000 of the answers seen by the best of 2" in said
