"""What can be asked of a training, and the presets of the paper."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import TrainingError
from core.train.presets import PRESETS, preset_of
from core.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("orders", 0),
        ("epochs", 0),
        ("batch", 0),
        ("micro_batch", -1),
        ("max_length", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", 2.0),
        ("warm_up", 1.0),
        ("weight_decay", -0.1),
        ("clip", 0.0),
        ("schedule", "constant"),
        ("save_dtype", "float16"),
        ("keep", "first"),
        ("seed", 2**64),
        ("eval_steps", -1),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(TrainingError, match=field) as raised:
        TrainSettings(**{"orders": 1} | {field: value})
    assert raised.value.field == field
    assert raised.value.hint


def test_settings_come_back_from_their_values() -> None:
    settings = TrainSettings(orders=3, learning_rate=1e-4, same_batches=True, keep="last")
    assert TrainSettings.from_dict(settings.as_dict() | {"of_a_later_version": 1}) == settings


def test_the_setting_that_differs_is_named() -> None:
    settings = TrainSettings(orders=3)
    assert settings.differing(TrainSettings(orders=8, micro_batch=1)) is None
    assert settings.differing(TrainSettings(orders=3, seed=1)) == "seed"


@pytest.mark.parametrize(("samples", "steps"), [(1, 3), (8, 3), (9, 6), (80, 30)])
def test_steps(samples: int, steps: int) -> None:
    assert TrainSettings(orders=1, epochs=3, batch=8).steps_of(samples) == steps


def test_presets_are_those_of_the_paper() -> None:
    """Tables 5 and 6 of arXiv:2410.03743: length, learning rate, batch, and n of the second."""
    of_bert = {"bert-sst-2": (512, 2e-5, 32), "bert-mnli": (512, 2e-5, 32), "bert-squad": (512, 3e-5, 12)}
    names = ("sst-2", "mnli", "squad", "ag-news", "hellaswag", "mrpc", "winogrande")
    table_5 = of_bert | dict.fromkeys(names, (800, 2e-5, 128))
    table_6 = {
        "alpaca": (1200, 2e-5, 128, 1),
        "gsm8k": (800, 2e-5, 64, 1),
        "gsm8k-rft": (800, 2e-5, 64, 4),
        "math": (800, 2e-5, 64, 1),
        "humaneval": (1200, 2e-5, 128, 4),
    }
    assert set(PRESETS) == {"small", *table_5, *table_6}
    for name, values in (table_5 | table_6).items():
        preset = PRESETS[name]
        found = (preset.max_length, preset.learning_rate, preset.batch, preset.resamples)
        assert found[: len(values)] == values
        assert preset.epochs == 3


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match="no preset 'gsm8'") as raised:
        preset_of("gsm8")
    assert "gsm8k" in (raised.value.hint or "")
