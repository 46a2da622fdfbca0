"""What pictures say of parts of a network. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

from core.deltas.findings import Findings, Part
from core.deltas.statistics import DeltaStatistics
from core.methods import METHODS
from core.units import share_text
from gui.words import grouped, plural, signed_text

__all__ = [
    "base_text",
    "capital",
    "drawing_method",
    "draws_no_model",
    "estimate_text",
    "merged_text",
    "nothing_there",
    "pair_text",
    "parameters_text",
    "text_of_draw",
    "too_many_text",
]


def capital(text: str) -> str:
    """With a capital, to begin a sentence."""
    return text[:1].upper() + text[1:]


def drawing_method() -> str:
    """The title of a method that draws sub-models, to be named where another one does not."""
    return next(method.title for method in METHODS.values() if method.draws is not None)


def draws_no_model(title: str, *, drops: bool) -> str:
    """That a method draws no sub-model, or only what it `drops`: the beginning of a sentence."""
    return f"“{title}” draws {'only what it drops' if drops else 'nothing'}"


def estimate_text(share: float, error: float, *, exact: bool) -> str:
    """ "68.1 %" where all was counted, "68.1 % ± 0.2 %" with twice the error of an estimate, "about 68.1 %"
    where that is not known."""
    if exact:
        return share_text(share)
    return f"{share_text(share)} ± {share_text(2 * error)}" if error > 0 else f"about {share_text(share)}"


def merged_text(part: Part, words: str) -> str:
    """`words` with the share that a merge has finished in the place of {}; "" where that is all of it."""
    share = part.merged_share
    return words.format(share_text(share)) if part.drawn is not None and share < 1 else ""


def nothing_there(part: Part) -> str:
    """Why there is nothing to be seen of `part`."""
    if not part.tensors:
        return f"{capital(part.place)}: there is no such tensor."
    if part.counts is not None and not part.counts.parameters:
        return f"{capital(part.place)}: there are no parameters."
    return f"{capital(part.place)}: nothing is known yet."


def parameters_text(count: int) -> str:
    """ "1 parameter", "2 048 parameters"."""
    return plural(count, "parameter")


def base_text(findings: Findings) -> str:
    """What a parameter of the result is like that is on a zero delta."""
    if findings.zero_tolerance is None:
        return "as in the base"
    return f"within {findings.zero_tolerance:g} of the base"


def pair_text(details: DeltaStatistics, models: Sequence[str], one: int, other: int) -> str:
    """How two sub-models agree; their names are in `models`."""
    if one == other:
        return models[one]
    cosine, error = details.cosine.value[one, other], float(details.cosine.error[one, other])
    text = f"{models[one]} and {models[other]}: cosine {signed_text(cosine, 3)}"
    text += f" ± {2 * error:.2g}" if error > 0 else ""
    both = round(float(details.total("both_changed")[one, other]))
    if not both:
        return text
    signs = share_text(float(details.sign_disagreement.value[one, other]))
    return f"{text}; signs differ in {signs} of {'' if details.exact else 'about '}{grouped(both)}"


def too_many_text(models: int) -> str:
    """Why there are no norms and cosines."""
    return (
        f"Norms and cosines of {models} sub-models in every layer would take too much memory. "
        "Take fewer at a time to see them."
    )


def text_of_draw(part: Part, n: int) -> str:
    """What is known of n in `part`, in words; "" for nothing."""
    parts = []
    if part.drawn is not None and 0 <= n < len(part.drawn.left):
        parts.append(f"{share_text(float(part.drawn.left[n]))} counted")
    if part.predicted is not None and 0 <= n < len(part.predicted.value):
        left = part.predicted.value
        parts.append(f"{share_text(float(left[n]))} expected")
        if n + 1 < len(left):
            parts.append(f"one more would move {share_text(max(0.0, float(left[n] - left[n + 1])))}")
    return f"n = {n}: {', '.join(parts)}" if parts else ""
