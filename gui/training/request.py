"""What is asked of a training, as values and as the arguments of its command. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.train.settings import TrainSettings

__all__ = ["Asked", "Request", "out_of"]

_OUT = "--out"


@dataclass(frozen=True)
class Asked:
    """What is filled in so far; None for what is not."""

    base: Path | None
    data: Path | None
    validation: Path | None
    out: Path | None
    settings: TrainSettings | None
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class Request:
    """K sub-models that are to be made of one base.

    Attributes:
        base: the model that all of them are made of.
        data: what they are trained on.
        validation: what their losses are measured on; None for nothing.
        out: the folder of the runs.
        preset: whose settings the others began with.
        orders: K.
        epochs, learning_rate, batch, max_length, keep, same_batches: as core.train.settings has them.
        skip_bad_rows: whether rows that cannot be used are left out.
    """

    base: Path
    data: Path
    validation: Path | None
    out: Path
    preset: str
    orders: int
    epochs: int
    learning_rate: float
    batch: int
    max_length: int
    keep: str
    same_batches: bool
    skip_bad_rows: bool

    @property
    def settings(self) -> TrainSettings:
        """The same as the training has them. Raises TrainingError: they make no sense."""
        return TrainSettings(
            orders=self.orders,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            micro_batch=min(self.batch, 8),
            max_length=self.max_length,
            keep=self.keep,
            same_batches=self.same_batches,
        )

    @property
    def title(self) -> str:
        """What it is called in the window."""
        return f"Making {self.out.name}"

    def arguments(self) -> list[str]:
        """Of `paramosaic train`."""
        validation = ["--validation", str(self.validation)] if self.validation is not None else []
        return [
            str(self.base),
            *("--data", str(self.data)),
            *validation,
            *("--orders", str(self.orders)),
            *("--epochs", str(self.epochs)),
            *("--preset", self.preset),
            *("--lr", repr(self.learning_rate)),
            *("--batch", str(self.batch)),
            *("--max-length", str(self.max_length)),
            *("--keep", self.keep),
            *(["--same-batches"] if self.same_batches else []),
            *(["--skip-bad-rows"] if self.skip_bad_rows else []),
            *(_OUT, str(self.out)),
        ]


def out_of(arguments: Sequence[str]) -> Path | None:
    """The folder of the runs that `arguments` name; None where they name none."""
    at = len(arguments) - 1 - list(reversed(arguments)).index(_OUT) if _OUT in arguments else len(arguments)
    return Path(arguments[at + 1]) if at + 1 < len(arguments) else None
