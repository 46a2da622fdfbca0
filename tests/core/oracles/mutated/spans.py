"""Weighted sums by angles and lengths, without one of their steps, or with another."""

from __future__ import annotations

__all__ = ["MUTATIONS"]

MUTATIONS: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {
    ("nuslerp",): {
        "equal shares": [("0.5 if abs(whole) < 1e-6 else weight[1] / whole", "0.5")],
        "the other's share": [("else weight[1] / whole", "else weight[0] / whole")],
        "shares of no sum": [("0.5 if abs(whole) < 1e-6 else ", "")],
        "whole tensors": [
            ("if nuslerp_flatten:", "if True:"),
            (
                "sums = column_sums if nuslerp_row_wise and not nuslerp_flatten else row_sums",
                "sums = row_sums",
            ),
        ],
        "rows for columns": [
            ("elif nuslerp_row_wise:", "elif False:"),
            (
                "sums = column_sums if nuslerp_row_wise and not nuslerp_flatten else row_sums",
                "sums = row_sums",
            ),
        ],
        "along the line": [
            ("straight = ~(1 - cosine * cosine > 1e-16)", "straight = np.full(dot.shape, True)")
        ],
        "along the arc however short": [
            ("straight = ~(1 - cosine * cosine > 1e-16)", "straight = np.full(dot.shape, False)")
        ],
        "lengths that are none": [
            ("np.maximum(np.sqrt(left), 1e-7) * np.maximum(np.sqrt(right), 1e-7)", "np.sqrt(left * right)")
        ],
        "angles of dot products": [("np.clip(dot / lengths, -1.0, 1.0)", "np.clip(dot, -1.0, 1.0)")],
        "sines not divided": [("sines[0] / sines[2]", "sines[0]")],
        "the mix alone": [
            ("words_of(mix if base is None else inputs.base + mix, out)", "words_of(mix, out)")
        ],
        "shares not rounded": [("factor.astype(inputs.kind) * values", "factor * values")],
    },
    ("nuslerp", "multislerp"): {
        "no differences": [
            ("[value - origin for value in values]", "[value + 0 * origin for value in values]")
        ],
    },
    ("multislerp",): {
        "one model not as it is": [
            (
                "return alone(models[0], inputs.models[0], dtype, out)\n        if norm",
                "pass\n        if norm",
            )
        ],
        "weights as they are": [("if normalize_weights:", "if False:")],
        "weights always normalised": [("if normalize_weights:", "if True:")],
        "no eps in lengths": [("each / (lengths + eps)[:, None]", "each / lengths[:, None]")],
        "no directions": [("each / (lengths + eps)[:, None]", "each")],
        "a mean that is none": [("return parts\n    mean = mean", "return 0 * parts\n    mean = mean")],
        "mean not of length 1": [("    mean = mean / span.length(mean)\n    tangents", "    tangents")],
        "no step along the sphere": [("mean * np.cos(step)", "mean")],
        "no eps in the step": [("step = span.length(tangent) + eps", "step = span.length(tangent) + 1e-30")],
        "no length": [(" * (parts @ lengths)", "")],
        "the mean length": [(" * (parts @ lengths)", " * lengths.mean()")],
        "no base": [("mix = base + mix", "pass")],
        "the line": [("    return factors\n", "    return parts\n")],
        "what is not finite": [("not span.sound or not span.length", "not span.length")],
    },
    ("karcher",): {
        "one model not as it is": [
            ("return alone(models[0], inputs.models[0], dtype, out)\n        fact", "pass\n        fact")
        ],
        "short ones kept": [("if length > tol]", "if length > 0]")],
        "no directions of models": [("units = [one / length for", "units = [one for")],
        "a first mean that is none": [("units[0] if span.length(mean) < tol else ", "")],
        "first mean as long as it is": [("else mean / span.length(mean)\n    for", "else mean\n    for")],
        "no steps": [("for _ in range(max_iter):", "for _ in range(0):")],
        "one step more": [("for _ in range(max_iter):", "for _ in range(max_iter + 1):")],
        "angles as sines": [("share * angle / np.sin(angle) *", "share *")],
        "small angles taken": [("if angle < tol or np.sin(angle) == 0:", "if np.sin(angle) == 0:")],
        "never far enough": [("if far < tol:", "if far < 0:")],
        "straight steps": [("mean = np.cos(far) * mean + np.sin(far) * step / far", "mean = mean + step")],
        "one length": [("return lengths.sum() / many * mean", "return mean")],
        "the length of the kept": [
            ("return lengths.sum() / many * mean", "return lengths.sum() / len(units) * mean")
        ],
        "what is not finite": [("if not span.sound:", "if False:")],
    },
    ("model_stock",): {
        "whole tensors always": [
            ("rows_of(values, shape)) if filter_wise else", "rows_of(values, shape)) if False else")
        ],
        "rows always": [
            ("rows_of(values, shape)) if filter_wise else", "rows_of(values, shape)) if True else")
        ],
        "values for differences": [("for delta in inputs.deltas]", "for delta in inputs.models]")],
        "no lengths": [
            ("np.maximum(lengths[i] * lengths[j], epsilon)", "np.maximum(0 * lengths[0] + 1.0, epsilon)")
        ],
        "no epsilon": [("np.maximum(lengths[i] * lengths[j], epsilon)", "lengths[i] * lengths[j]")],
        "the first pair alone": [
            (
                "np.where(scale == 0, 0.0, cosine)\n                pairs",
                "np.where(scale == 0, 0.0, cosine) * (pairs == 0)\n                pairs",
            )
        ],
        "the sum over pairs": [("mean = cosines / pairs", "mean = cosines")],
        "two models always": [("below = 1 + (many - 1) * mean", "below = 1 + mean")],
        "no number of models": [("many * mean / below", "mean / below")],
        "divided by nothing": [("< 1e-6, 0.0, many", "< 1e-6, 1.0, many")],
        "parts that are none": [("part = np.where(np.isfinite(part), part, 0.0)", "pass")],
        "the sum for the average": [("average = average / kind(many)", "pass")],
        "the average alone": [("ours + theirs, out)\n        sizes", "ours, out)\n        sizes")],
    },
}
"""By the methods that must be told from it: what a step would be, and the changes of the oracle's text."""
