"""What is said of candidates beside a reference, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from made_scores import DIGEST, made_scores

from core.cancel import CancelToken
from core.errors import Cancelled, DataError, IncompatibleError
from core.evaluate.scores import Scores
from core.evaluate.statistics.student import t_quantile
from core.evaluate.verdict.comparing import adjusted_together, compare
from core.evaluate.verdict.comparison import Comparison
from core.evaluate.verdict.pairing import SampleValues

RNG = np.random.default_rng(17)
N = 40
BASE = RNG.normal(3, 1, N)
NOISE = RNG.normal(0, 0.01, N)
NOISE -= NOISE.mean()


def one(reference: Scores | SampleValues, candidate: Scores | SampleValues, **options: object) -> Comparison:
    return compare(reference, [candidate], **options)[0]  # type: ignore[arg-type]


SINGLE = made_scores("single", BASE)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(-0.02, "helps"), (0.02, "hurts"), (0.001, "no difference shown"), (0, "no difference shown")],
)
def test_the_verdict_is_of_paired_differences(shift: float, verdict: str) -> None:
    """Far below the spread between samples, which is 1."""
    found = one(SINGLE, made_scores("merge", BASE + NOISE + shift))
    assert found.verdict == verdict
    assert found.difference == pytest.approx(shift, abs=1e-12)
    assert (found.name, found.reference, found.n, found.clusters, found.measure) == (
        "merge",
        "single",
        N,
        None,
        "loss",
    )
    assert found.low < found.difference < found.high
    assert (found.p <= 0.05) == (not found.low <= 0 <= found.high) == (verdict != "no difference shown")
    reach = t_quantile(0.95, N - 1) * NOISE.std(ddof=1) / math.sqrt(N)
    assert found.high - found.difference >= reach * (1 - 1e-12)
    assert found.difference - found.low >= reach * (1 - 1e-12)


def test_below_twenty_samples_nothing_is_said() -> None:
    nineteen, twenty = (
        one(made_scores("single", BASE[:count]), made_scores("merge", BASE[:count] + NOISE[:count] - 5))
        for count in (19, 20)
    )
    assert (nineteen.verdict, twenty.verdict) == ("too few to say", "helps")
    assert nineteen.p < 1e-9
    assert nineteen.sentence.startswith("merge, against single: too few to say on 19 samples: −5.")


def test_nor_of_so_few_answers() -> None:
    wrong, right = np.zeros(N, bool), np.ones(N, bool)
    for count, verdict in ((19, "too few to say"), (20, "helps")):
        reference = made_scores("single", BASE[:count], correct=wrong[:count])
        found = one(reference, made_scores("merge", BASE[:count], correct=right[:count]))
        assert (found.accuracy_verdict, found.mcnemar_p) == (verdict, 2.0 ** (1 - count))


def test_below_twenty_groups_nothing_is_said() -> None:
    merge = made_scores("merge", BASE + NOISE - 5)
    assert one(SINGLE, merge, groups=[str(row // 2) for row in range(N)]).verdict == "helps"
    found = one(SINGLE, merge, groups=[str(row // 3) for row in range(N)])
    assert (found.verdict, found.clusters) == ("too few to say", 14)
    assert "too few to say on 40 samples in 14 groups" in found.sentence


def test_what_is_shown_alone_may_not_be_among_many() -> None:
    """p of about 0.03, and with nine others that are the same model about 0.3."""
    error = NOISE.std(ddof=1) / math.sqrt(N)
    merge = made_scores("merge", BASE + NOISE - 2.3 * error)
    alone, *others = compare(SINGLE, [merge]), *compare(SINGLE, [merge, *[made_scores("same", BASE)] * 9])
    assert alone[0].verdict == "helps"
    assert 0.01 < alone[0].p < 0.05
    assert others[0].verdict == "no difference shown"
    assert others[0].p == alone[0].p
    assert others[0].p_holm == pytest.approx(10 * others[0].p)
    assert "alone it would count as shown (p = 0.0" in others[0].sentence
    assert [other.verdict for other in others[1:]] == ["no difference shown"] * 9


FOUND = Comparison(
    name="average",
    reference="single",
    n=500,
    clusters=None,
    measure="loss",
    difference=0.0015,
    low=-0.0003,
    high=0.0033,
    p=0.1,
    p_holm=0.2,
    verdict="no difference shown",
    samples_needed=1873,
)


def test_one_in_twenty_is_the_border() -> None:
    error = NOISE.std(ddof=1) / math.sqrt(N)
    found = one(SINGLE, made_scores("merge", BASE + NOISE - 1.85 * error))
    assert 0.05 < found.p < 0.1
    assert found.verdict == "no difference shown"
    assert found.low < 0 < found.high


def test_the_sentence_in_full() -> None:
    assert FOUND.sentence == (
        "average, against single: no difference shown on 500 samples: +0.0015 nats a token "
        "(95 % from −0.0003 to +0.0033). A difference of this size would take about 1,900 samples to show."
    )
    helps = replace(
        FOUND, difference=-0.0291, low=-0.0332, high=-0.025, p_holm=0.001, compared=5, verdict="helps"
    )
    assert helps.sentence == (
        "average, against single: helps on 500 samples: −0.0291 nats a token "
        "(95 % from −0.0332 to −0.0250); p = 0.001 among 5 compared."
    )
    answers = replace(
        helps,
        compared=1,
        accuracy_difference=0.018,
        mcnemar_p=0.26,
        mcnemar_p_holm=0.26,
        only_candidate_right=30,
        only_reference_right=21,
        accuracy_verdict="no difference shown",
        notes=("And so on.",),
    )
    assert answers.sentence.endswith(
        "−0.0250). Right answers: no difference shown, +1.8 points: 30 right by average alone, "
        "21 by single alone (p = 0.26). And so on."
    )
    answers = replace(answers, answers_needed=1234)
    assert answers.sentence.endswith(
        "(p = 0.26). A difference of this size would take about 1,200 samples to show. And so on."
    )
    assert "would take" not in replace(answers, accuracy_verdict="helps").sentence
    assert "would take" not in replace(FOUND, samples_needed=480).sentence
    assert "more than a million samples" in replace(FOUND, samples_needed=7_000_000).sentence


def test_the_same_model_twice() -> None:
    found = one(SINGLE, made_scores("copy", BASE.copy()))
    assert (found.verdict, found.p, found.difference, found.samples_needed) == (
        "no difference shown",
        1,
        0,
        None,
    )
    assert found.sentence == "copy, against single: no difference shown on 40 samples: all losses are equal."


def test_the_same_difference_everywhere() -> None:
    found = one(SINGLE, made_scores("merge", BASE + 0.5))
    assert found.verdict == "hurts"
    assert found.low == pytest.approx(0.5)
    assert "+0.50 nats a token (95 % from +0.50 to +0.50)" in found.sentence


def test_samples_needed_by_the_formula() -> None:
    found = one(SINGLE, made_scores("merge", BASE + NOISE + 0.001))
    assert found.samples_needed == math.ceil(
        ((1.959963985 + 0.841621234) * NOISE.std(ddof=1) / 0.001) ** 2 + 1.959963985**2 / 2
    )
    assert f"would take about {round(found.samples_needed, -1)} samples" in found.sentence


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_samples_without_a_number_are_left_out_and_named(bad: float) -> None:
    loss = BASE + NOISE + 0.02
    loss[[3, 8]] = bad
    found = one(SINGLE, made_scores("merge", loss))
    rest = np.delete(np.arange(N), [3, 8])
    assert (found.n, found.left_out, found.verdict) == (N - 2, 2, "hurts")
    assert found.difference == pytest.approx((NOISE[rest] + 0.02).mean())
    assert "2 samples are left out for which merge gave no finite number (lines 4, 9)." in found.sentence


def test_who_gives_no_number_never_helps() -> None:
    loss = BASE + NOISE - 1
    loss[5] = math.nan
    broken, whole = compare(SINGLE, [made_scores("broken", loss), made_scores("whole", BASE + NOISE - 1)])
    assert (broken.verdict, whole.verdict) == ("no difference shown", "helps")
    assert "That is why broken is not said to help" in broken.sentence
    # The reference's own gaps are nobody's advantage.
    gaps = BASE.copy()
    gaps[5] = math.nan
    assert one(made_scores("single", gaps), made_scores("broken", loss)).verdict == "helps"


def test_rows_with_nothing_to_score_are_no_failure() -> None:
    tokens = np.full(N, 10, np.int64)
    tokens[:4] = 0
    losses = [np.where(tokens > 0, BASE + shift, math.nan) for shift in (0, -1)]
    found = one(*(made_scores("one", loss, tokens=tokens) for loss in losses))
    assert (found.n, found.left_out, found.notes, found.verdict) == (N - 4, 0, (), "helps")


@pytest.mark.parametrize("count", [0, 1])
def test_almost_nothing_to_compare(count: int) -> None:
    found = one(made_scores("single", BASE[:count]), made_scores("merge", BASE[:count] + 1))
    assert found.verdict == "too few to say"
    assert found.p == 1
    assert found.sentence == (
        "merge, against single: too few to say on 1 sample: +1.00 nats a token."
        if count
        else "merge, against single: too few to say: there is no sample that both have losses for."
    )


def test_no_candidates() -> None:
    assert compare(SINGLE, []) == ()


def test_other_tokenizers_are_compared_in_bits_a_byte() -> None:
    """Half as many tokens at twice the loss are the same bits; 0.1 nats more are 0.1 · 5 / 40 / ln 2 bits."""
    tokens = np.full(N, 5, np.int64)
    loss = 2 * BASE + NOISE + 0.1
    found = one(SINGLE, made_scores("other", loss, tokens=tokens, tokenizer_digest="two"))
    assert (found.measure, found.unit, found.verdict) == ("bits a byte", "bits a byte", "hurts")
    assert found.difference == pytest.approx(0.1 * 5 / 40 / math.log(2))
    assert "The tokenizers differ" in found.sentence
    assert one(SINGLE, made_scores("other", loss, tokens=tokens, tokenizer_digest="")).measure == "loss"


def test_samples_cut_at_other_places_are_left_out() -> None:
    text_bytes = np.full(N, 40, np.int64)
    text_bytes[7] = 20
    found = one(SINGLE, made_scores("merge", BASE + NOISE, text_bytes=text_bytes))
    assert (found.n, found.left_out) == (N - 1, 0)
    assert "One sample is left out of which single and merge were given different parts" in found.sentence


def test_right_and_wrong_are_tested_beside_the_loss() -> None:
    """8 right by the merge alone and 2 by the single alone: p = 112 / 1,024, and twice that among two of
    which the other is surer: 10 to 0, p = 2 / 1,024."""
    right = np.zeros(N, bool)
    right[:20] = True
    merge, surer = right.copy(), right.copy()
    merge[:2], merge[20:28], surer[20:30] = False, True, True
    classifier = {"task": "classifier"}
    first, second = compare(
        made_scores("single", BASE, correct=right, **classifier),
        [
            made_scores("merge", BASE, correct=merge, **classifier),
            made_scores("surer", BASE, correct=surer, **classifier),
        ],
    )
    assert (first.only_candidate_right, first.only_reference_right) == (8, 2)
    assert (first.mcnemar_p, first.mcnemar_mid_p) == (112 / 1024, 67 / 1024)
    assert first.accuracy_difference == pytest.approx(6 / 40)
    assert first.mcnemar_p_holm == 112 / 1024
    assert second.mcnemar_p_holm == 4 / 1024
    assert (first.accuracy_verdict, second.accuracy_verdict) == ("no difference shown", "helps")
    assert (first.verdict, first.unit) == ("no difference shown", "nats a sample")
    assert (
        "+15.0 points: 8 right by merge alone, 2 by single alone (p = 0.11 among 2 compared)"
        in first.sentence
    )
    # In groups of which one has all that the merge gained, it is one vote.
    grouped = one(
        made_scores("single", BASE, correct=right),
        made_scores("merge", BASE, correct=merge),
        groups=["g" if 20 <= row < 28 else str(row) for row in range(N)],
    )
    assert grouped.mcnemar_p == 1


def test_without_losses_right_answers_decide() -> None:
    nothing = np.full(N, math.nan)
    right = np.arange(N) < 20
    better = np.arange(N) < 28
    found = one(made_scores("single", nothing, correct=right), made_scores("merge", nothing, correct=better))
    assert (found.measure, found.verdict, found.p) == ("right answers", "helps", 2 / 2**8)
    assert found.difference == pytest.approx(0.2)
    assert (
        one(
            made_scores("single", nothing, correct=better), made_scores("merge", nothing, correct=right)
        ).verdict
        == "hurts"
    )


def test_an_own_score_of_which_more_is_better() -> None:
    def measured(name: str, values: np.ndarray) -> SampleValues:
        return SampleValues(name, values, DIGEST, measure="score", unit="points", higher_is_better=True)

    found = one(measured("single", BASE), measured("merge", BASE + NOISE + 0.1))
    assert found.verdict == "helps"
    assert "helps on 40 samples: +0.1000 points" in found.sentence
    with pytest.raises(IncompatibleError, match="merge in points"):
        one(SINGLE, measured("merge", BASE))


def test_the_mean_over_seeds() -> None:
    """It is no model's: a number a sample, that has no right answers."""
    seeds = np.mean([BASE + NOISE * i - 0.1 for i in range(3)], axis=0)
    found = one(SINGLE, SampleValues("n = 4", seeds, DIGEST))
    assert found.verdict == "helps"
    assert found.difference == pytest.approx(-0.1)
    assert found.high - found.difference < 1.2 * t_quantile(0.95, N - 1) * NOISE.std(ddof=1) / math.sqrt(N)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data_digest": "ab" * 16}, "merge was scored on other data than single"),
        ({"lines": np.arange(2, N + 2)}, "merge was scored on other rows of the data than single"),
        ({"task": "classifier"}, "merge is a classifier and single is a language model"),
    ],
)
def test_what_cannot_be_compared_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said) as refused:
        one(SINGLE, made_scores("merge", BASE, **changed))
    assert refused.value.hint


def test_other_refusals() -> None:
    with pytest.raises(IncompatibleError, match="merge has 39 samples and single 40"):
        one(SINGLE, made_scores("merge", BASE[:39]))
    with pytest.raises(DataError, match="2 groups for 40 samples"):
        one(SINGLE, SINGLE, groups=["a", "b"])
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        one(SINGLE, made_scores("merge", BASE + NOISE), cancel=cancel)


def test_documents_hold_all_of_it() -> None:
    for candidate in (made_scores("merge", BASE + NOISE), made_scores("merge", np.full(N, math.nan))):
        found = one(SINGLE, candidate)
        document = json.loads(json.dumps(found.as_json(), allow_nan=False))
        assert document["sentence"] == found.sentence
        again = Comparison.from_json({**document, "later": 1})
        assert repr(again) == repr(found)


def test_several_tasks_are_adjusted_together() -> None:
    """Right answers alone: 2 · 2⁻⁷ for seven to none, 2 · 2⁻⁶ for six, and 1 for one each."""
    nothing = np.full(N, np.nan)
    wrong = np.zeros(N, bool)

    def task(*counts: tuple[int, int]) -> tuple[Comparison, ...]:
        made = []
        for number, (more, fewer) in enumerate(counts):
            right = wrong.copy()
            right[:more], right[N - 1 :] = True, not fewer
            made.append(made_scores(f"model-{number}", nothing, correct=right))
        before = wrong.copy()
        before[N - 1] = True
        return compare(made_scores("base", nothing, correct=before), made)

    first, second, third = task((7, 0)), task((6, 0), (1, 1)), task((6, 0))
    assert [one.verdict for one in (*first, *second, *third)] == [
        *("helps", "no difference shown", "no difference shown", "helps")
    ]
    found = adjusted_together([first, second, third])
    assert [len(one) for one in found] == [1, 2, 1]
    flat = [one for part in found for one in part]
    assert [one.p_holm for one in flat] == [4 / 64, 3 / 32, 1.0, 3 / 32]
    assert [one.mcnemar_p_holm for one in flat] == [one.p_holm for one in flat]
    assert {one.verdict for one in flat} == {one.accuracy_verdict for one in flat} == {"no difference shown"}
    assert {one.compared for one in flat} == {4}
    assert "among 4 compared" in flat[0].sentence
    assert adjusted_together([first]) == (first,)
