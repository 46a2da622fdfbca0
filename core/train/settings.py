"""How sub-models are trained: what was asked for, checked, and as plain values of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.draws import MAX_SEED
from core.errors import TrainingError
from core.text import shown

__all__ = ["KEEPS", "SAVE_DTYPES", "SCHEDULES", "TrainSettings"]

KEEPS = ("all", "last", "best")
SCHEDULES = ("cosine", "linear")
SAVE_DTYPES = ("bfloat16", "float32")

MAY_DIFFER = frozenset({"orders", "micro_batch"})
"""Settings with which a training may go on where they differ: more orders are more runs of the same kind, and
another micro-batch is the same sum in other parts."""


@dataclass(frozen=True)
class TrainSettings:
    """How K sub-models are made.

    Attributes:
        orders: K, how many runs of the same base on the same data.
        epochs: how often each goes through the data.
        learning_rate: the highest one, at the end of the warm-up.
        batch: samples of one step.
        micro_batch: samples that are in memory at one time; a step adds up the gradients of as many as it
            takes. It changes results by rounding only.
        max_length: the most tokens of a sample.
        schedule: how the learning rate falls after the warm-up, to 0 at the last step: "cosine" or "linear".
        warm_up: the share of the steps over which it rises from 0.
        weight_decay: of AdamW (arXiv:1711.05101), with betas 0.9 and 0.999 and epsilon 1e-8; of no norms and
            biases, as transformers has it.
        clip: the greatest norm of the gradient of a step.
        seed: of the orders, dropout, and a classifier's new head.
        same_batches: whether all orders have the batches of the first one, in other places.
        save_dtype: of the sub-models: "bfloat16" or "float32".
        also_float32: whether each run's last sub-model is saved as float32 too, where hardly a delta is 0.
        keep: which epochs stay: "all", "last", or "best", the one after which the mean validation loss over
            all orders is lowest, so that all have the same number of steps.
        eval_steps: validate after so many steps too; 0 for the ends of epochs only.
    """

    orders: int
    epochs: int = 3
    learning_rate: float = 2e-5
    batch: int = 8
    micro_batch: int = 8
    max_length: int = 512
    schedule: str = "cosine"
    warm_up: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0
    same_batches: bool = False
    save_dtype: str = "bfloat16"
    also_float32: bool = False
    keep: str = "all"
    eval_steps: int = 0

    def __post_init__(self) -> None:
        """Raises TrainingError: a value makes no sense."""
        for name, most in (("orders", 1000), ("epochs", 1000), ("batch", 1 << 20), ("micro_batch", 1 << 20)):
            _check(name, getattr(self, name), 1 <= getattr(self, name) <= most, f"from 1 to {most:,}")
        _check("max_length", self.max_length, 2 <= self.max_length <= 1 << 24, "from 2 to 16,777,216")
        _check("eval_steps", self.eval_steps, self.eval_steps >= 0, "0 or more")
        _check("seed", self.seed, 0 <= self.seed <= MAX_SEED, "from 0 to 2^64 − 1")
        rate = self.learning_rate
        _check("learning_rate", rate, math.isfinite(rate) and 0 < rate <= 1, "above 0 and at most 1")
        _check("warm_up", self.warm_up, 0 <= self.warm_up < 1, "from 0 to below 1")
        _check("weight_decay", self.weight_decay, 0 <= self.weight_decay <= 1, "from 0 to 1")
        _check("clip", self.clip, math.isfinite(self.clip) and self.clip > 0, "above 0")
        for name, choices in (("schedule", SCHEDULES), ("save_dtype", SAVE_DTYPES), ("keep", KEEPS)):
            _check(name, getattr(self, name), getattr(self, name) in choices, " or ".join(choices))

    def steps_of(self, samples: int) -> int:
        """Steps of one run over so many samples; the last batch of an epoch may be smaller."""
        return self.epochs * math.ceil(samples / self.batch)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """The settings that `as_dict` gave. Raises TypeError or TrainingError: these are none."""
        return cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values})

    def differing(self, other: TrainSettings) -> str | None:
        """The first setting in which `other` would make other sub-models; None where it would not."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if mine != theirs and (item.name not in MAY_DIFFER):
                return item.name
        return None


def _check(name: str, value: Any, is_good: bool, allowed: str) -> None:
    if not is_good:
        raise TrainingError(
            f"{name} is {shown(value)}, and has to be {allowed}",
            hint=f"change {option_of(name)}",
            field=name,
        )


def option_of(name: str) -> str:
    """The option of the command line that sets it."""
    return {"learning_rate": "--lr"}.get(name, f"--{name.replace('_', '-')}")
