"""What the commands' options hold, beyond what click knows."""

from __future__ import annotations

from typing import Any

import click

from core.errors import MergeError
from core.text import shown
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
        parts = [part.strip() for part in value.split(",")]
        try:
            if all(
                part.isascii() and "_" not in part for part in parts
            ):  # float() takes more than people write
                return tuple(map(float, parts))
        except ValueError:
            pass
        self.fail(f"{shown(value)} are no numbers; write them as 1,1,2.5", param, ctx)
