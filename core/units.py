"""Numbers as people read them: 5.0 GB, 3 min 20 s, 68.1 %."""

from __future__ import annotations

import re

from core.errors import MergeError
from core.text import shown

__all__ = ["about_text", "bytes_text", "count_text", "duration_text", "parse_size", "share_text"]

_SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


_STEPS = ((2.95, 0.1), (9.5, 1), (57.5, 5), (295, 10), (3570, 60))
"""Seconds, and to how many of them times below that are rounded."""


def about_text(seconds: float) -> str:
    """ "under 0.1 s", "about 0.6 s", "about 25 s", "about 4 min": no more digits than an estimate has."""
    if seconds < 0.1:
        return "under 0.1 s"
    step = next((step for limit, step in _STEPS if seconds < limit), 600)
    rounded = step * round(seconds / step)
    text = duration_text(rounded) if step < 1 or rounded >= 60 else f"{rounded} s"
    return f"about {text.removesuffix(' 0 s').removesuffix(' 0 min')}"


def bytes_text(count: float) -> str:
    """ "1.5 GB", in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def count_text(count: float) -> str:
    """ "7.24 B" parameters: three digits and K, M, B or T."""
    for unit in ("", " K", " M", " B"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} T"


def duration_text(seconds: float) -> str:
    """ "40 ms", "0.8 s", "42 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def share_text(share: float) -> str:
    """ "68.1 %"; what is nearly nothing or nearly all keeps the digits that tell it from that."""
    percent = 100 * share
    if 0 < percent < 0.00005:
        return "<0.0001 %"
    if 99.99995 < percent < 100:
        return ">99.9999 %"
    if 0 < percent < 1:
        decimals = 2 if percent >= 0.01 else 4
    elif 99.95 <= percent < 100:
        decimals = 2 if percent < 99.995 else 4
    else:
        decimals = 1
    return f"{percent:.{decimals}f} %"


def parse_size(text: str) -> int:
    """Bytes in "5GB", "800MB", "4GiB" or "1000000". Raises MergeError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE | re.ASCII)
    unit = found[2].upper() if found else ""
    if found is None or (found[3] and not unit):
        raise MergeError(f"{shown(text)} is not a size", hint="write it as 5GB, 800MB or 4GiB")
    size = float(found[1]) * (_BINARY if found[3] else _SIZES)[unit]
    if not 1 <= size < 2**63:
        raise MergeError(f"the size {shown(text)} is out of range", hint="write it as 5GB, 800MB or 4GiB")
    return int(size)
