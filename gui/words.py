"""How the window writes numbers, beyond what `core.units` does."""

from __future__ import annotations

__all__ = [
    "grouped",
    "number_from_text",
    "plural",
    "signed_text",
    "weight_text",
]


_THIN = "\u202f"  # a narrow space at which no line breaks


def grouped(count: int) -> str:
    """ "12 345 678", with thin spaces."""
    return f"{count:,}".replace(",", _THIN)


def signed_text(value: float, decimals: int) -> str:
    """ "−0.25", "0.00", with a true minus and none before zero."""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}".replace("-", "−")


def plural(count: int, noun: str) -> str:
    """ "1 model", "3 models"."""
    return f"{grouped(count)} {noun}" if count == 1 else f"{grouped(count)} {noun}s"


def weight_text(weight: float) -> str:
    """The shortest text that means exactly `weight`: "1", "0.25"."""
    return repr(float(weight)).removesuffix(".0")


def number_from_text(text: str) -> float | None:
    """The number that was typed, with a decimal point or comma; None where it is not a finite one."""
    if "_" in text:  # float() would take it for a separator
        return None
    try:
        number = float(text.strip().replace(",", ".").replace("−", "-"))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
