"""What a study says of its best merge and of the controls beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from study.made_up import COUNT, DIGEST, MadeUp, data_set, recipe_of

from core.evaluate.statistics.resampling import halves
from core.study.studying import run_study
from core.study.table import Options
from core.study.values import Study

OPTIONS = Options(ns=(0, 1), seeds=1, lambdas=(1.0, 2.0))
FLOAT32 = replace(OPTIONS, float32=(Path("/nowhere/a"), Path("/nowhere/b"), Path("/nowhere/c")))
DIFFICULTY = np.random.default_rng(1).uniform(1, 4, COUNT)


def around(offset: float, seed: int, noise: float = 0.002) -> NDArray[np.float64]:
    """So far from the difficulty of each sample on average, on each half of them."""
    wobble = np.random.default_rng(seed).normal(0, noise, COUNT)
    for half in halves(DIGEST, COUNT):
        wobble[half] -= wobble[half].mean()
    return DIFFICULTY + offset + wobble


def studied(
    options: Options = OPTIONS,
    *,
    noise: float = 0.002,
    right: Callable[[str], float] | None = None,
    groups: Callable[[int], str] | None = None,
    **offsets: float,
) -> Study:
    """Of models whose mean losses are given by their keys, _ for -; the selection of n = 1 gains 0.025.

    Args:
        noise: of the average with its task vector × 2 on each sample.
        right: the share of samples that the model of a key is right on.
    """
    usual = {"base": 0.5, "single_1": 0.01, "single_2": 0.0, "single_3": 0.002, "selection_n1_seed7": -0.025}
    losses = {"else": around(0.001, 99)}
    for number, (key, offset) in enumerate((usual | offsets).items()):
        losses[key.replace("_", "-")] = around(offset, number, noise if key == "average_x2" else 0.002)
    more = {}
    if right is not None:
        keys = [*("base", "single-1", "single-2", "single-3", "average", "average-x2", "single-3-x2")]
        keys += ["selection-n0-seed7", "selection-n1-seed7", "average-float32"]
        keys += [f"average-of-{two}" for two in ("1-2", "1-3", "2-3")]
        more = {key: {"correct": np.arange(COUNT) < right(key) * COUNT} for key in keys}
    return run_study(recipe_of(), data_set(groups=groups), MadeUp(losses, more=more), options=options)


def test_right_answers_stand_beside_the_loss_of_the_merge_and_of_its_controls() -> None:
    shares = {"selection-n1-seed7": 0.5, "single-3-x2": 0.3}
    sentence = studied(right=lambda key: shares.get(key, 0.9), single_3_x2=-0.06).sentence
    assert " against the median single model; right answers: hurts (−40.0 points). But the" in sentence
    assert " nats a token more; right answers: hurts (−60.0 points). Here the gain is" in sentence
    same = studied(right=lambda key: 0.9, single_3_x2=-0.06).sentence
    assert "right answers" not in same


def test_where_no_merge_helps_a_control_that_does_is_named_with_its_right_answers() -> None:
    worse = {"average": 0.01} | {f"average_of_{two}": 0.02 for two in ("1_2", "1_3", "2_3")}
    sentence = studied(
        right=lambda key: 0.2 if key == "average-x2" else 0.9,
        selection_n1_seed7=0.0009,
        average_x2=-0.06,
        **worse,
    ).sentence
    assert sentence.startswith("No merge")
    assert "The average with its task vector × 2 does: it lowers the loss by 0.0620" in sentence
    assert sentence.endswith("; right answers: hurts (−70.0 points).")


def test_the_best_single_model_is_a_row_that_halves_choose_for_each_other() -> None:
    study = studied(single_1=-0.024)
    row = study.row("best-single")
    assert row is not None
    assert (row.title, row.kind, row.note) == ("best single (by halves)", "control", "model-1")
    assert row.loss.mean == pytest.approx(DIFFICULTY.mean() - 0.024)
    assert "But the best single model (by halves) reaches 96 % of it" in study.sentence
    assert "Here most of the gain is that of one good sub-model, not of merging." in study.sentence


def test_what_halves_like_by_chance_is_no_best_single_model() -> None:
    first = np.isin(np.arange(COUNT), halves(DIGEST, COUNT)[0])
    losses = {"else": around(0.0, 5), "single-1": DIFFICULTY - np.where(first, 0.4, -0.4)}
    study = run_study(recipe_of(), data_set(), MadeUp(losses), options=OPTIONS)
    row = study.row("best-single")
    assert row is not None
    assert row.note == "model-1, by the other half model-2"
    expected = np.where(first, losses["else"], losses["single-1"])
    assert row.loss.mean == pytest.approx(expected.mean())


def test_a_control_that_is_merely_not_told_apart_may_explain_the_gain() -> None:
    vague = studied(average_x2=-0.03, noise=0.05).sentence
    assert "But so does the average with its task vector × 2, as far as 40 samples show" in vague
    assert vague.endswith("The gain may be distance from the base.")
    sharp = studied(average_x2=-0.025).sentence
    assert sharp.endswith("Here the gain is distance from the base, not choice.")


@pytest.mark.parametrize("float32", [-0.0251, -0.04])
def test_rounding_explains_nothing_where_the_rounded_average_does_as_much(float32: float) -> None:
    sentence = studied(average=-0.0248, average_float32=float32).sentence
    assert "the average kept in float32" in sentence
    assert "that of averaging" in sentence
    assert "rounding" not in sentence


def test_the_average_is_a_control_of_a_selection_whatever_lambda_is_best() -> None:
    sentence = studied(average=-0.0249, average_x2=-0.06).sentence
    assert "the average with its task vector × 2 lowers it by 0.0350" in sentence
    assert "so does the average, as far as" in sentence or "the average reaches 100 %" in sentence
    assert sentence.count("ere the gain is") == 1


def test_a_single_model_before_it_was_rounded_is_a_control() -> None:
    offsets = {f"float32_single_{number}": -0.02 for number in (1, 2, 3)}
    sentence = studied(FLOAT32, **offsets, float32_average=0.0).sentence
    assert "But a single model before it was rounded reaches 81 % of it" in sentence
    assert "Here most of the gain is what rounding costs a single model" in sentence


def test_of_some_float32_twins_it_is_not_known_what_rounding_costs() -> None:
    """A good order's twin beats the mean of all orders, whatever rounding costs."""
    one = replace(OPTIONS, float32=(Path("/nowhere/a"),))
    sentence = studied(one, float32_single_1=-0.02).sentence
    assert "a single model before it was rounded reaches 81 % of it" in sentence
    assert "rounding" not in sentence


def test_a_share_of_the_gain_is_named_where_no_control_explains_it() -> None:
    sentence = studied(average_x2=-0.015, single_3_x2=-0.014).sentence
    assert "No control explains it: the best of them, the average with its task vector × 2, is worse by" in (
        sentence
    )
    shares = [int(share) for share in re.findall(r"reaches (\d+) % of it", sentence)]
    assert shares == [63, 59]  # 0.017 and 0.016 of 0.027


def test_a_difference_that_only_holm_hides_is_no_noise() -> None:
    losses = {"else": around(0.0, 98, noise=0.05)}
    for number, key in enumerate(("base", "single-1", "single-2", "single-3")):
        losses[key] = around(0.0005 * number, number)
    losses["average"] = around(-0.0005, 7, noise=0.0042)
    study = run_study(recipe_of(), data_set(), MadeUp(losses), options=OPTIONS)
    row = study.row(study.best)
    assert row is not None
    assert row.comparison is not None
    assert row.comparison.p <= 0.05 < row.comparison.p_holm
    assert "by −0.00" in study.sentence
    assert "alone it would be shown, among 9 compared it is not" in study.sentence
    assert "noise" not in study.sentence


def test_the_direction_is_kept_where_nothing_is_shown() -> None:
    losses = {"else": around(0.05, 98), "average": around(-0.001, 8, noise=0.05), "single-2": around(0.0, 3)}
    losses |= {"single-1": around(0.01, 1), "single-3": around(-0.01, 2)}
    study = run_study(recipe_of(), data_set(), MadeUp(losses), options=OPTIONS)
    assert "differs from the median single model by −0.001 nats a token" in study.sentence
    assert "which 40 samples cannot tell from noise" in study.sentence
    few = {key: loss[:12] for key, loss in losses.items()} | {"average": around(-0.3, 9)[:12]}
    sentence = run_study(recipe_of(), data_set(12), MadeUp(few), options=OPTIONS).sentence
    assert "12 samples are too few to say whether average helps: it differs from" in sentence
    assert "by −0.3" in sentence


def test_groups_are_counted_where_samples_are() -> None:
    sentence = studied(groups=lambda row: str(row // 2), average_x2=-0.03, noise=0.05).sentence
    assert "as far as 40 samples in 20 groups show" in sentence


def test_the_best_n_stands_beside_the_next_smaller_one() -> None:
    clear = studied().advice
    assert clear is not None
    assert "n = 1 has the least loss, 0.02600 nats a token less than n = 0 (95 % from +0.02" in clear.sentence
    assert clear.sentence.endswith("which 40 samples tell apart.")
    alike = studied(selection_n1_seed7=0.0009).advice
    assert alike is not None
    assert "n = 1 has the least loss, 0.0001" in alike.sentence
    assert alike.sentence.endswith("which 40 samples cannot tell apart.")
    least = studied(selection_n1_seed7=0.01).advice
    assert least is not None
    assert least.sentence == "Of n = 0, 1, n = 0 has the least loss."
