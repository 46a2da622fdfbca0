"""How many samples it would take to show a difference as large as the one seen.

For a power of 80 %: in four of five repetitions with so many samples, a difference of this size would be
shown, two-sided, at 5 % or what is left of that for one of several candidates. It takes what was seen for the
truth. Where no difference is shown it is a guide to
how much data to get and nothing more: the true difference may be 0.
"""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["answers_needed", "samples_needed"]

_POWER = 0.8
_MOST = 1e15
_LEVEL = 0.05
_Z_POWER = NormalDist().inv_cdf(_POWER)


def samples_needed(
    difference: float, error: float, units: int, samples: int, *, compared: int = 1
) -> int | None:
    """Samples for a mean of paired differences: of this size, and with this standard error, on `samples` in
    `units`.

    Where samples belong to groups, it is the samples of as many groups of the same mean size as are needed.
    None where there is no difference, where no spread is known, and beyond all measure. With `compared`
    candidates the level is 5 % / compared: Holm's adjustment asks for no more than that of any of them.

    ((z_0.975 + z_0.8) s / difference)² + z_0.975² / 2, of one: Guenther, The American Statistician 35
    (1981), within one of what the noncentral t distribution gives, for 10 or more.
    """
    if difference == 0 or not units or not math.isfinite(difference) or not math.isfinite(error):
        return None
    if error == 0:
        return samples
    z_level = _z_level(compared)
    ratio = (z_level + _Z_POWER) * (error / difference)
    needed = ratio * ratio * units + z_level**2 / 2
    return math.ceil(math.ceil(needed - 1e-9) * samples / units - 1e-9) if needed < _MOST else None


def answers_needed(
    only_reference: int, only_candidate: int, units: int, samples: int, *, compared: int = 1
) -> int | None:
    """Samples for McNemar's test, from how many of `units` only one model answered rightly; None where both
    are as many.

    Units are the samples, or groups of them with a vote each: then it is the samples of as many groups as are
    needed. `compared` as above.

    Connor, Biometrics 43 (1987), from the discordant shares. Deviation: none; the exact test takes a few
    more.
    """
    if only_reference == only_candidate or not units:
        return None
    discordant = (only_reference + only_candidate) / units
    net = (only_candidate - only_reference) / units
    spread = math.sqrt(max(0.0, discordant - net * net))
    root = _z_level(compared) * math.sqrt(discordant) + _Z_POWER * spread
    return math.ceil(math.ceil((root / net) ** 2 - 1e-9) * samples / units - 1e-9)


def _z_level(compared: int) -> float:
    return NormalDist().inv_cdf(1 - _LEVEL / compared / 2)
