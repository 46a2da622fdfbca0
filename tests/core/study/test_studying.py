"""Studies of made-up losses: every number of the table worked out in another way."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from study.made_up import COUNT, MadeUp, data_set, recipe_of

from core.cancel import CancelToken
from core.data.rows import DataSet
from core.errors import Cancelled, CheckpointError, DataError, IncompatibleError, MergeError, RecipeError
from core.evaluate.statistics.resampling import halves
from core.study.command import OwnScores
from core.study.document import to_markdown
from core.study.studying import run_study
from core.study.table import Options
from core.study.values import Study

Losses = dict[str, NDArray[np.float64]]

OPTIONS = Options(ns=(0, 1), seeds=2, lambdas=(1.0, 2.0, 3.0))
KEYS_OF_ALL = [
    *("base", "single-1", "single-2", "single-3", "average", "average-x2", "average-x3"),
    *(f"selection-n{n}-seed{seed}" for n in (0, 1) for seed in (7, 8)),
    *("single-2-x2", "single-2-x3", "average-float32"),
    *(f"average-of-{two}" for two in ("1-2", "1-3", "2-3")),
]

DIFFICULTY = np.random.default_rng(1).uniform(1, 4, COUNT)
"""Most of the spread of losses is between samples, and all models have it alike."""


def around(offset: float, seed: int, noise: float = 0.002) -> NDArray[np.float64]:
    """Losses so far from the others on average, and a little different on each sample."""
    wobble = np.random.default_rng(seed).normal(0, noise, COUNT)
    return DIFFICULTY + offset + wobble - wobble.mean()


def losses(**offsets: float) -> Losses:
    """Of every model; those that are named by what is added to 0, _ for -."""
    found = {"else": around(0.0, 99)}
    usual = {"base": 0.5, "single-1": 0.01, "single-2": 0.0, "single-3": -0.004, "average": 0.002}
    given = usual | {key.replace("_", "-"): offset for key, offset in offsets.items()}
    for number, (key, offset) in enumerate(given.items()):
        found[key.replace("x1-5", "x1.5")] = around(offset, number)
    return found


def studied(made_up: Mapping[str, NDArray[np.float64] | Exception], options: Options = OPTIONS) -> Study:
    return run_study(recipe_of(), data_set(), MadeUp(made_up), options=options)


def test_rows_are_means_spreads_and_the_best() -> None:
    made_up = losses(selection_n1_seed7=-0.03, selection_n1_seed8=-0.02)
    study = studied(made_up)
    keys = [row.key for row in study.rows]
    assert keys == [
        *("base", "single", "average", "selection-n0", "selection-n1", "soup"),
        *("best-single", "average-scaled", "single-scaled", "average-float32"),
    ]
    single = study.row("single")
    means = [made_up[f"single-{number}"].mean() for number in (1, 2, 3)]
    assert single is not None
    assert single.loss.mean == pytest.approx(statistics.mean(means))
    assert single.loss.spread == pytest.approx(statistics.stdev(means))
    assert single.loss.best == pytest.approx(min(means))
    assert single.members == ("model-1", "model-2", "model-3")
    assert single.comparison is None
    assert study.reference == "model-2"  # the median: 0.01, 0, -0.004
    drawn = study.row("selection-n1")
    assert drawn is not None
    means = [made_up[f"selection-n1-seed{seed}"].mean() for seed in (7, 8)]
    assert drawn.loss.spread == pytest.approx(statistics.stdev(means))
    assert drawn.comparison is not None
    assert drawn.comparison.difference == pytest.approx(-0.025)
    assert drawn.comparison.verdict == "helps"
    assert drawn.comparison.n == COUNT
    base = study.row("base")
    assert base is not None
    assert base.comparison is not None
    assert base.loss.spread is None
    assert (base.comparison.verdict, base.comparison.compared) == ("hurts", 9)


def test_holm_goes_over_all_rows() -> None:
    compared = [row.comparison for row in studied(losses()).rows if row.comparison is not None]
    adjusted, running = {}, 0.0
    for rank, one in enumerate(sorted(compared, key=lambda one: one.p)):
        running = max(running, min(1.0, (len(compared) - rank) * one.p))
        adjusted[one.name] = running
    assert len(compared) == 9
    assert {one.name: one.p_holm for one in compared} == pytest.approx(adjusted)


def test_lambdas_and_soups_are_chosen_on_one_half_and_measured_on_the_other() -> None:
    first = np.isin(np.arange(COUNT), halves(data_set().digest, COUNT)[0])
    made_up = losses()
    made_up["single-2-x2"] = DIFFICULTY - np.where(first, 0.2, 0.0)  # the first half's choice
    made_up["single-2-x3"] = DIFFICULTY - np.where(first, 0.0, 0.3)
    made_up["average-of-1-3"] = DIFFICULTY + np.where(first, -0.5, 0.5)
    made_up["average-of-2-3"] = DIFFICULTY + 1.0
    made_up["average"] = DIFFICULTY + 1.0
    study = studied(made_up)
    scaled = study.row("single-scaled")
    assert scaled is not None
    by_factor = {"1": "single-2", "2": "single-2-x2", "3": "single-2-x3"}
    known = ", ".join(f"{factor}: {made_up[key].mean():.4f}" for factor, key in by_factor.items())
    assert scaled.note == (
        f"λ = 2, by the other half 3, the largest that was tried (loss on all rows by λ: {known})"
    )
    assert scaled.members == ("model-2 × 2", "model-2 × 3")
    assert scaled.loss.mean == pytest.approx(DIFFICULTY.mean())  # what both had gained by was chance
    assert scaled.comparison is not None
    assert scaled.comparison.difference == pytest.approx(0.0, abs=1e-12)
    soup = study.row("soup")
    assert soup is not None
    assert soup.note == "2 of 3: model-1, model-3; by the other half 1 of 3: model-3"
    expected = np.where(first, made_up["single-3"], made_up["average-of-1-3"])
    assert soup.loss.mean == pytest.approx(expected.mean())


def test_the_best_merge_is_chosen_as_its_controls_are() -> None:
    """Two merges that gain by what one half of the samples happens to like: measured on the other, none."""
    first = np.isin(np.arange(COUNT), halves(data_set().digest, COUNT)[0])
    made_up = losses()
    for seed in (7, 8):
        made_up[f"selection-n0-seed{seed}"] = DIFFICULTY - np.where(first, 0.2, 0.0)
        made_up[f"selection-n1-seed{seed}"] = DIFFICULTY - np.where(first, 0.0, 0.3)
    study = studied(made_up)
    assert study.best == "chosen"
    row = study.row("chosen")
    assert row is not None
    assert (row.title, row.kind) == ("selection or selection + n = 1 (by halves)", "merge")
    assert row.loss.mean == pytest.approx(DIFFICULTY.mean())
    assert row.loss.spread is None
    assert row.comparison is not None
    reference = made_up["single-2"]
    assert row.comparison.difference == pytest.approx(DIFFICULTY.mean() - reference.mean())
    assert study.sentence.startswith(
        "No merge is shown to help: the best, selection or selection + n = 1 (by"
    )
    assert "intervals are over samples, not over seeds or orders" in to_markdown(study)


def test_halves_that_agree_choose_a_row_that_is_there() -> None:
    study = studied(losses(selection_n1_seed7=-0.03, selection_n1_seed8=-0.03))
    assert study.best == "selection-n1"
    assert study.row("chosen") is None


def test_what_belongs_together_is_in_one_half() -> None:
    made_up = losses()
    groups = data_set(groups=lambda row: str(row // 4))
    first, _ = halves(groups.digest, COUNT // 4)
    inside = np.isin(np.arange(COUNT) // 4, first)
    made_up["average-x2"] = DIFFICULTY - np.where(inside, 0.3, 0.0)
    made_up["average-x3"] = DIFFICULTY - np.where(inside, 0.0, 0.3)
    study = run_study(recipe_of(), groups, MadeUp(made_up), options=OPTIONS)
    row = study.row("average-scaled")
    assert row is not None
    assert row.note.startswith("λ = 2, by the other half 3, the largest that was tried (loss on all rows")
    assert row.loss.mean == pytest.approx(DIFFICULTY.mean())
    assert row.comparison is not None
    assert row.comparison.clusters == COUNT // 4


@pytest.mark.parametrize(
    ("offsets", "begins", "has"),
    [
        (
            {"single_2_x2": -0.06, "average_x2": -0.01},
            "Selection + n = 1 lowers the loss by 0.02500 nats a token (95 % from 0.02",
            " against the median single model. But the median single model with its task vector × 2 "
            "lowers it by 0.03500 nats a token more. Here the gain is distance from the base, not choice.",
        ),
        (
            {"average_x3": -0.025},
            "Selection + n = 1 lowers",
            "But so does the average with its task vector × 3, as far as 40 samples show, with a ",
        ),
        (
            {"average_x2": -0.01, "single_2_x2": -0.012, "average_float32": -0.001},
            "Selection + n = 1 lowers",
            "No control explains it: the best of them, the median single model with its task vector × 2, is "
            "worse by 0.01300 nats a token (95 % from 0.012",
        ),
        (
            {"average_float32": -0.04},
            "Selection + n = 1 lowers",
            "But the average kept in float32 lowers it by 0.01500 nats a token more. Here the gain is what "
            "rounding costs the average, not choice.",
        ),
    ],
)
def test_the_sentence_says_whether_a_control_explains_the_gain(
    offsets: dict[str, float], begins: str, has: str
) -> None:
    drawn = {"selection_n1_seed7": -0.025, "selection_n1_seed8": -0.025}
    study = studied(losses(**drawn, **offsets))
    assert study.best == "selection-n1"
    assert study.sentence.startswith(begins)
    assert has in study.sentence


def test_a_control_that_is_not_shown_to_help_explains_nothing() -> None:
    made_up = losses(selection_n1_seed7=-0.025, selection_n1_seed8=-0.025)
    made_up["average-float32"] = around(-0.008, 61, noise=0.15)  # told from neither
    study = studied(made_up)
    row = study.row("average-float32")
    assert row is not None
    assert row.comparison is not None
    assert row.comparison.verdict == "no difference shown"
    assert "so does" not in study.sentence
    assert "No control explains it" not in study.sentence
    assert study.sentence.startswith("Selection + n = 1 lowers the loss by 0.0250")
    assert (
        " 40 samples cannot tell it from the average kept in float32, with a difference of +0.017 nats"
        in study.sentence
    )
    assert study.sentence.endswith(
        ". That is not shown to help either: whether a control explains the gain is open."
    )


def test_every_control_is_looked_at() -> None:
    made_up = losses(
        selection_n1_seed7=-0.025, selection_n1_seed8=-0.025, single_2_x2=-0.06, average_x2=-0.03
    )
    made_up["average-float32"] = around(-0.0249, 62)
    sentence = studied(made_up).sentence
    assert " But the median single model with its task vector × 2 lowers it by 0.0350" in sentence
    assert " And the average with its task vector × 2 lowers it by 0.0050" in sentence
    assert (
        " And so does the average kept in float32, as far as 40 samples show, with a difference of "
        in sentence
    )
    assert sentence.count("distance from the base") == 1
    assert sentence.endswith("The gain may also be what rounding costs the average.")  # two are not both it


def test_a_second_control_that_is_not_told_apart_is_not_passed_over() -> None:
    """The one of least difference is shown to be worse; another is worse on average, and not shown to be."""
    made_up = losses(selection_n1_seed7=-0.025, selection_n1_seed8=-0.025, average_x2=-0.015)
    made_up["average-float32"] = around(-0.015, 61, noise=0.15)
    study = studied(made_up)
    assert "No control explains it" not in study.sentence
    assert "cannot tell it from the average kept in float32" in study.sentence


def test_an_average_that_does_as_well_is_no_distance() -> None:
    made_up = losses(selection_n1_seed7=-0.0251, selection_n1_seed8=-0.0251)
    drawn = np.mean([made_up[f"selection-n1-seed{seed}"] for seed in (7, 8)], axis=0)
    wobble = np.random.default_rng(31).normal(0, 0.002, COUNT)
    for half in halves(data_set().digest, COUNT):  # so that both halves choose the selection
        wobble[half] -= wobble[half].mean()
    made_up["average"] = drawn + 0.0001 + wobble
    study = studied(made_up)
    assert study.best == "selection-n1"
    assert "But so does the average, as far as 40 samples show" in study.sentence
    assert study.sentence.endswith("Here the gain is that of averaging, not of choice.")


def test_a_merge_that_helps_nobody_is_said_to() -> None:
    made_up = losses(average=0.2) | {"else": around(0.1, 50)}
    assert studied(made_up).sentence.startswith(
        "No merge helps: the best, selection, raises the loss by 0.100"
    )
    noisy = losses(average=-0.001) | {"average": around(-0.001, 8, noise=0.05)}
    made_up = noisy | {"else": around(0.05, 50)}
    assert "which 40 samples cannot tell from noise" in studied(made_up).sentence


def test_few_samples_say_nothing() -> None:
    made_up = {key: loss[:12] for key, loss in losses(average=-1.0).items()}
    study = run_study(recipe_of(), data_set(12), MadeUp(made_up), options=OPTIONS)
    assert study.sentence.startswith("12 samples are too few to say whether average helps")
    assert {row.comparison.verdict for row in study.rows if row.comparison is not None} == {"too few to say"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (data_set(12), "made-up.jsonl has 12 samples: too few to say whether a merge helps"),
        (data_set(groups=lambda row: str(row % 3)), "made-up.jsonl has 40 samples in 3 groups: too few to"),
    ],
)
def test_that_samples_are_few_is_said_before_the_first_is_measured(data: DataSet, said: str) -> None:
    token, notes = CancelToken(), []

    def note(sentence: str) -> None:
        notes.append(sentence)
        token.cancel()

    made_up = MadeUp({"else": np.ones(len(data.rows))})
    with pytest.raises(Cancelled):
        run_study(recipe_of(), data, made_up, options=OPTIONS, on_note=note, cancel=token)
    assert made_up.asked == []
    assert notes[0].startswith(said)


def test_one_group_is_refused_before_anything_is_measured() -> None:
    made_up = MadeUp(losses())
    with pytest.raises(DataError, match=r"too few groups \(40 samples in 1 group\)"):
        run_study(recipe_of(), data_set(groups=lambda row: "a"), made_up, options=OPTIONS)
    assert made_up.asked == []


def test_the_advice_stands_beside_what_turned_out_best() -> None:
    made_up = losses(selection_n1_seed7=-0.03, selection_n1_seed8=-0.02)
    left = [0.5, 0.4, 0.399, 0.399]
    study = run_study(
        recipe_of(), data_set(), MadeUp(made_up), options=OPTIONS, expected_left=lambda family, cancel: left
    )
    assert study.advice is not None
    assert (study.advice.advised, study.advice.best) == (1, 1)
    assert study.advice.sentence.startswith("Parameters left as in the base: 50.0 % with n = 0, 40.0 %")
    assert "From n = 1 on, each resample moves less than 0.5 %." in study.advice.sentence
    assert study.advice.sentence.endswith("The advice and the outcome agree.")
    without = studied(made_up)
    assert without.advice is not None
    assert (without.advice.advised, without.advice.best) == (None, 1)


def test_the_samples_that_changed_most_have_their_text() -> None:
    made_up = losses()
    after = made_up["single-2"] - 0.1
    after[7] -= 0.5
    after[3] += 0.4
    for seed in (7, 8):
        made_up[f"selection-n1-seed{seed}"] = after
    changed = studied(made_up, replace(OPTIONS, changed=2)).changed
    assert [(one.line, one.text) for one in changed] == [(15, "text 7"), (7, "text 3")]
    assert changed[0].reference_loss - changed[0].loss == pytest.approx(0.6)
    assert changed[1].loss - changed[1].reference_loss == pytest.approx(0.3)


def test_every_model_is_measured_once() -> None:
    made_up = MadeUp(losses())
    run_study(recipe_of(), data_set(), made_up, options=OPTIONS)
    assert len(made_up.asked) == len(set(made_up.asked))
    assert {"base", "single-3", "selection-n0-seed7", "selection-n1-seed8", "average-x3"} <= {*made_up.asked}


def test_a_recipe_of_another_method_is_a_row_of_its_own() -> None:
    recipe = recipe_of(merge_method="ties", parameters={"density": 0.5})
    study = run_study(recipe, data_set(), MadeUp(losses(recipe=-0.2)), options=OPTIONS)
    row = study.row("recipe")
    assert row is not None
    assert row.kind == "merge"
    assert study.best == "recipe"
    assert studied(losses()).row("recipe") is None  # n = 1 is a row anyway
    other = recipe_of(parameters={"resamples": 5})
    assert run_study(other, data_set(), MadeUp(losses()), options=OPTIONS).row("recipe") is not None


def test_what_cannot_be_measured_is_left_out_and_said() -> None:
    spoilt = around(0.0, 3)
    spoilt[4] = np.nan
    made_up: dict[str, NDArray[np.float64] | Exception] = {
        **losses(),
        "base": CheckpointError("the base has no head"),
        "average-float32": IncompatibleError("the types do not fit"),
        "selection-n1-seed8": spoilt,
    }
    study = studied(made_up)
    keys = {row.key for row in study.rows}
    assert not {"base", "average-float32", "selection-n1"} & keys
    assert "selection-n0" in keys
    assert [note for note in study.notes if "training" not in note] == [
        "the base is left out of the table: the base has no head",
        "selection + n = 1, seed 8 is left out: the losses of 1 rows are not finite numbers",
        "average in float32 is left out: the types do not fit",
    ]
    with pytest.raises(CheckpointError, match="no such model"):
        studied({**losses(), "single-2": CheckpointError("no such model")})


def test_rows_of_which_nothing_is_scored_do_not_count() -> None:
    made_up = losses()
    tokens = np.full(COUNT, 10)
    tokens[::4] = 0
    for key in made_up:
        made_up[key] = np.where(tokens > 0, made_up[key], np.nan)
    more = {key: {"tokens": tokens} for key in [*made_up, "average-x2", "average-x3"]}
    study = run_study(recipe_of(), data_set(), MadeUp(made_up, more=more), options=OPTIONS)
    assert study.n_samples == 30
    single = study.row("single")
    assert single is not None
    assert single.loss.best == pytest.approx(min(np.nanmean(made_up[f"single-{n}"]) for n in (1, 2, 3)))
    assert all(one.line % 8 != 1 for one in study.changed)


def test_one_sub_model_has_its_controls_and_no_merges() -> None:
    study = run_study(recipe_of(1), data_set(), MadeUp(losses(single_1_x2=-0.1)), options=OPTIONS)
    assert [row.key for row in study.rows] == ["base", "single", "single-scaled"]
    assert study.sentence == "Nothing was merged."
    assert (study.best, study.changed, study.advice) == ("", (), None)


def test_own_scores_are_beside_the_losses() -> None:
    rng = np.random.default_rng(2)
    points = {"average": rng.uniform(0.5, 1.0, 30), "single-2": rng.uniform(0.0, 0.4, 30)}

    def own(model: object) -> OwnScores:
        values = points.get(model.key, np.full(30, 0.2))  # type: ignore[attr-defined]
        return OwnScores(float(values.mean()), tuple(range(1, 31)), tuple(values.tolist()))

    def study(higher: bool) -> Study:
        options = replace(OPTIONS, higher_is_better=higher)
        return run_study(recipe_of(), data_set(), MadeUp(losses(), own=own), options=options)

    row = study(True).row("average")
    assert row is not None
    assert row.score is not None
    assert row.score.mean == pytest.approx(points["average"].mean())
    assert row.score_comparison is not None
    assert row.score_comparison.difference == pytest.approx((points["average"] - points["single-2"]).mean())
    assert row.score_comparison.verdict == "helps"
    worse = study(False).row("average")
    assert worse is not None
    assert worse.score_comparison is not None
    assert worse.score_comparison.verdict == "hurts"
    single = study(False).row("single")
    assert single is not None
    assert single.score is not None
    assert single.score.best == pytest.approx(min(0.2, points["single-2"].mean()))


def test_own_scores_of_lines_in_groups_count_by_group() -> None:
    rng = np.random.default_rng(2)

    def study(lines: tuple[int, ...]) -> Study:
        def own(model: object) -> OwnScores:
            values = rng.uniform(0, 1, len(lines))
            return OwnScores(float(values.mean()), lines, tuple(values.tolist()))

        data = data_set(groups=lambda row: str(row // 5))
        return run_study(recipe_of(), data, MadeUp(losses(), own=own), options=OPTIONS)

    row = study(tuple(range(1, 2 * COUNT, 2))).row("average")  # the lines of the data are odd
    assert row is not None
    assert row.score_comparison is not None
    assert (row.score_comparison.clusters, row.score_comparison.verdict) == (COUNT // 5, "too few to say")
    row = study(tuple(range(1, 31))).row("average")  # those of something else
    assert row is not None
    assert row.score_comparison is not None
    assert row.score_comparison.clusters is None


def test_sub_models_in_float32_are_controls() -> None:
    made_up = losses(**{f"float32_single_{number}": -0.01 * number for number in (1, 2)})
    made_up["float32-average"] = around(-0.3, 70)
    for seed in (7, 8):
        made_up[f"selection-n1-seed{seed}"] = around(-0.1, seed)
    options = replace(OPTIONS, float32=(Path("/nowhere/a"), Path("/nowhere/b")))
    study = studied(made_up, options)
    single = study.row("float32-single")
    assert single is not None
    assert (single.kind, single.members) == ("control", ("a (float32)", "b (float32)"))
    assert single.loss.mean == pytest.approx(DIFFICULTY.mean() - 0.015)
    keys = [row.key for row in study.rows][-4:]
    assert keys == ["float32-single", "float32-average", "float32-selection-n0", "float32-selection-n1"]
    assert "But the average of sub-models in float32 lowers it by 0.2" in study.sentence


def test_right_answers_are_compared_with_those_of_the_model_that_has_the_median_of_them() -> None:
    """The model of the median loss, single-2, happens to be wrong on everything."""
    shares = {"single-1": 0.5, "single-2": 0.0, "single-3": 0.7, "average": 0.6}
    right = {key: {"correct": np.arange(COUNT) < shares.get(key, 0.5) * COUNT} for key in KEYS_OF_ALL}
    study = run_study(recipe_of(), data_set(), MadeUp(losses(), more=right), options=OPTIONS)
    assert (study.reference, study.reference_right) == ("model-2", "model-1")
    average, drawn = study.row("average"), study.row("selection-n1")
    assert average is not None
    assert average.comparison is not None
    assert average.comparison.accuracy_difference == pytest.approx(0.1)
    assert drawn is not None
    assert drawn.accuracy_comparison is not None
    assert drawn.accuracy_comparison.difference == pytest.approx(0.0)
    assert "the median single model is model-2, and by right answers model-1" in to_markdown(study)


def test_right_answers_of_several_seeds_are_compared_too() -> None:
    right = {key: {"correct": np.arange(COUNT) % 2 == 0} for key in KEYS_OF_ALL}
    right["average"] = {"correct": np.arange(COUNT) % 4 != 1}
    for seed, wrong in ((7, 1), (8, 3)):
        right[f"selection-n1-seed{seed}"] = {"correct": np.arange(COUNT) % 4 != wrong}
    study = run_study(recipe_of(), data_set(), MadeUp(losses(), more=right), options=OPTIONS)
    drawn, average = study.row("selection-n1"), study.row("average")
    assert drawn is not None
    assert average is not None
    assert drawn.accuracy is not None
    assert (drawn.accuracy.mean, drawn.accuracy.spread) == (0.75, 0.0)
    assert drawn.accuracy_comparison is not None
    assert drawn.accuracy_comparison.difference == pytest.approx(0.25)
    assert drawn.accuracy_comparison.verdict == "helps"
    assert drawn.comparison is not None
    assert drawn.comparison.mcnemar_p is None
    assert average.accuracy_comparison is None
    assert average.comparison is not None
    assert (average.comparison.only_candidate_right, average.comparison.accuracy_verdict) == (10, "helps")
    tested = {
        row.key: (row.accuracy_comparison.p, row.accuracy_comparison.p_holm)
        if row.accuracy_comparison is not None
        else (row.comparison.mcnemar_p, row.comparison.mcnemar_p_holm)
        for row in study.rows
        if row.comparison is not None
    }
    assert {"average", "selection-n1"} <= tested.keys()
    expected, running = {}, 0.0
    for rank, key in enumerate(sorted(tested, key=lambda key: tested[key][0] or 0.0)):
        running = max(running, min(1.0, (len(tested) - rank) * (tested[key][0] or 0.0)))
        expected[key] = running
    assert {key: adjusted for key, (_, adjusted) in tested.items()} == pytest.approx(expected)
    assert drawn.accuracy_comparison.compared == len(tested)


def test_a_command_that_changes_its_lines_is_refused() -> None:
    def own(model: object) -> OwnScores:
        lines = (1, 2) if model.key == "single-1" else (1, 3)  # type: ignore[attr-defined]
        return OwnScores(0.0, lines, (0.0, 0.0))

    with pytest.raises(MergeError, match="scored other lines of model-2"):
        run_study(recipe_of(), data_set(), MadeUp(losses(), own=own), options=OPTIONS)


def test_it_is_cancelled_between_models() -> None:
    token = CancelToken()
    made_up = MadeUp(losses())
    with pytest.raises(Cancelled):
        run_study(
            recipe_of(),
            data_set(),
            made_up,
            options=OPTIONS,
            cancel=token,
            on_measured=lambda one: token.cancel() if one.model.key == "average" else None,
        )
    assert made_up.asked[-1] == "average"


def test_progress_goes_from_nothing_to_all() -> None:
    shares: list[float] = []
    run_study(
        recipe_of(),
        data_set(),
        MadeUp(losses()),
        options=OPTIONS,
        progress=lambda share: shares.append(share.fraction),
    )
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.1
    assert 0.8 < shares[-1] <= 1


def test_bad_requests_are_one_sentence() -> None:
    alone = recipe_of()
    with pytest.raises(RecipeError, match="a study needs the base"):
        run_study(replace(alone, base=None), data_set(), MadeUp(losses()))
    with pytest.raises(DataError, match="too few rows"):
        run_study(alone, data_set(1), MadeUp({"else": np.ones(1)}), options=OPTIONS)
    none = {"single-1": {"tokens": np.zeros(COUNT, int)}}
    with pytest.raises(DataError, match="no row of which anything is scored"):
        run_study(alone, data_set(), MadeUp(losses(), more=none), options=OPTIONS)


def test_its_time_is_that_of_all_models_whenever_they_were_measured() -> None:
    made_up = MadeUp(losses(), more={key: {"seconds": 90.0} for key in KEYS_OF_ALL})
    study = run_study(recipe_of(), data_set(), made_up, options=OPTIONS)
    assert study.seconds == 90 * len(set(made_up.asked))
    assert f"measured in {len(set(made_up.asked)) * 90 // 60} min" in to_markdown(study)
