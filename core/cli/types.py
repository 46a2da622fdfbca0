"""What the commands' options hold, beyond what click knows."""

from __future__ import annotations

from typing import Any

import click

from core.errors import MergeError
from core.units import parse_size

__all__ = ["Size", "Weights"]


class Size(click.ParamType[int]):
    """Bytes: "5GB"."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except MergeError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


class Weights(click.ParamType[tuple[float, ...]]):
    """Numbers: "1,1,2.5"."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} are no numbers; write them as 1,1,2.5", param, ctx)
