"""Methods that weigh sub-models by their differences, without one of their steps, or with another."""

from __future__ import annotations

__all__ = ["MUTATIONS"]

MUTATIONS: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {
    ("sce", "ram", "ramplus_tl"): {
        "no difference": [
            ("[value - origin for value in values]", "[value + 0 * origin for value in values]")
        ],
    },
    ("sce",): {
        "nothing selected": [("if select_topk < 1:", "if False:")],
        "variance about 0": [("away = delta - mean", "away = delta")],
        "no squares": [("squares + away * away", "squares + np.abs(away)")],
        "mean not divided": [("mean = mean / kind(len(deltas))", "pass")],
        "a share of all elements": [("int((varying != 0).sum())", "varying.size")],
        "the last of equal ones": [
            ("positions_from_largest(varying) <", "positions_from_largest(varying[::-1])[::-1] <")
        ],
        "the least varying": [("positions_from_largest(varying) <", "positions_from_largest(-varying) <")],
        "weighed by all": [
            (
                "total(term.astype(np.float64) * term.astype(np.float64))",
                "total(delta.astype(np.float64) ** 2)",
            ),
            ("for term in terms]\n        whole", "for delta in deltas]\n        whole"),
        ],
        "weighed by sums": [("/ len(base) for term", "for term")],
        "weighed by magnitudes": [
            ("term.astype(np.float64) * term.astype(np.float64)", "np.abs(term.astype(np.float64))")
        ],
        "weights of nothing": [("1 / many if even", "0.0 if even")],
        "weights all equal": [("even = not math.isfinite(whole) or whole <= epsilon", "even = True")],
        "weights of what is not finite": [("not math.isfinite(whole) or ", "")],
        "no least sum of weights": [("whole <= epsilon", "whole <= 0")],
        "no election": [('elected(terms, "mass")', "[np.ones(len(base), bool) for _ in terms]")],
        "elected by count": [('elected(terms, "mass")', 'elected(terms, "count")')],
        "elected by weighted mass": [
            ('elected(terms, "mass")', 'elected([kind(w) * t for w, t in zip(weight, terms)], "mass")')
        ],
        "none elected of 0": [("positive = mass >= 0", "positive = mass > 0")],
        "no weights above": [("above + term * kind(factor)", "above + term")],
        "no weights below": [("below + kind(factor), below)", "below + 1, below)")],
        "divided by less than epsilon": [("below = np.maximum(below, kind(epsilon))", "pass")],
        "divided by 0": [("np.where(below == 0, kind(1), below)", "below")],
        "not divided": [("inputs.base + above / below", "inputs.base + above")],
        "no base": [("inputs.base + above / below", "above / below")],
        "all counted as dropped": [("((delta != 0) & ~kept)", "(~kept)")],
        "dropped counted as elected against": [("(kept & (delta != 0) & ~mine)", "((delta != 0) & ~mine)")],
    },
    ("ram", "ramplus_tl"): {
        "small differences averaged": [("np.abs(delta) > kind(epsilon)", "np.abs(delta) > 0")],
        "everything averaged": [("np.abs(delta) > kind(epsilon)", "np.abs(delta) >= 0")],
        "NaN averaged": [("np.abs(delta) > kind(epsilon)", "~(np.abs(delta) <= kind(epsilon))")],
        "not averaged": [("delta / count.astype(kind))", "delta)")],
        "averaged over all": [("delta / count.astype(kind))", "delta / kind(len(models)))")],
        "the average of sums": [("delta / count.astype(kind))", "delta * (1 / count).astype(kind))")],
        "a term overwrites": [("mix = np.where(mine, mix + part, mix)", "mix = np.where(mine, part, mix)")],
        "no sum with the base": [("words_of(inputs.base + mix, out)", "words_of(mix, out)")],
    },
    ("ramplus_tl",): {
        "alone not strengthened": [("own = delta if strength == 1 else", "own = delta if True else")],
        "shared ones strengthened": [
            ("part = np.where(count == 1, own,", "part = np.where(count >= 1, own / count.astype(kind),")
        ],
        "ratio of all": [("int((mine & (count > 1)).sum())", "int(mine.sum())")],
        "ratio without limit": [("min(max(ratio, 0.0), alpha)", "ratio")],
        "ratio the other way round": [("shared / scarce if scarce", "scarce / max(shared, 1) if scarce")],
        "strength without 1": [("strength = 1 + r *", "strength = r *")],
        "no r": [("strength = 1 + r *", "strength = 1 +")],
    },
    ("nearswap",): {
        "the sub-model everywhere": [("kind(t) / distance", "np.ones_like(distance)")],
        "no least distance": [
            ("np.maximum(np.abs(inputs.base - model), kind(1e-6))", "np.abs(inputs.base - model)")
        ],
        "no t": [("kind(t) / distance", "kind(0.001) / distance")],
        "no largest share": [("kind(0), kind(1))", "kind(0), kind(np.inf))")],
        "no least share": [("kind(0), kind(1))", "kind(-np.inf), kind(1))")],
        "the base as it is": [("(kind(1) - part) * inputs.base", "inputs.base")],
        "no sub-model": [("ours, theirs = part * model,", "ours, theirs = part * 0,")],
        "by the difference": [("ours + theirs, out)", "inputs.base + part * (model - inputs.base), out)")],
    },
    ("passthrough",): {
        "no scale": [("inputs.kind(scale[0]) * ", "")],
        "never the bits": [("if scale[0] == 1 else", "if False else")],
    },
}
"""By the methods that must be told from it: what a step would be, and the changes of the oracle's text."""
