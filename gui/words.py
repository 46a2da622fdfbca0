"""How the window writes numbers, beyond what `core.units` does."""

from __future__ import annotations

__all__ = [
    "ago_text",
    "grouped",
    "layers_text",
    "percent_text",
    "plural",
    "signed_text",
    "weight_text",
]


_THIN = "\u202f"  # a narrow space at which no line breaks


def ago_text(seconds: float) -> str:
    """ "less than a minute ago", "5 min ago", "2 h ago", "3 days ago"."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "less than a minute ago"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days ago"


def layers_text(first: int, last: int) -> str:
    """ "0–15" of the layers from `first` to the one before `last`; "3" of one."""
    return str(first) if last - first == 1 else f"{first}–{last - 1}"


def percent_text(fraction: float) -> str:
    """ "62 %", "less than 1 %"; 100 % is said when nothing is left."""
    return "less than 1 %" if 0 < fraction < 0.01 else f"{int(100 * fraction)} %"


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
