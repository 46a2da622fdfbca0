"""Arcee fusion without one of its steps, or with another."""

from __future__ import annotations

__all__ = ["MUTATIONS"]

MUTATIONS: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {
    ("arcee_fusion",): {
        "no largest taken off": [("rows - rows.max(axis=1, keepdims=True)", "rows")],
        "powers of whole tensors": [
            ("powers / row_sums(powers)[:, None]", "powers / row_sums(powers).sum()")
        ],
        "not above zero": [(" + 1e-8", "")],
        "no logarithm": [("logarithms(ours / theirs)", "(ours / theirs)")],
        "the other's logarithm": [("logarithms(ours / theirs)", "logarithms(theirs / ours)")],
        "no shares": [("row_sums(ours * logarithms", "row_sums(logarithms")],
        "no divergence": [(" * divergence[:, None]", " + 0 * divergence[:, None]")],
        "the divergence in the computing type": [
            ("wide = np.promote_types(kind, np.float64).type", "wide = kind")
        ],
        "no difference": [("np.abs(rows_of(delta, shape)) *", "1 + 0 * rows_of(delta, shape) *")],
        "with its sign": [("np.abs(rows_of(delta, shape)) *", "rows_of(delta, shape) *")],
        "quartiles of the length": [("last = importance.size - 1", "last = importance.size - 0.001")],
        "quartiles cut up": [("ascending[int(part * last)]", "ascending[-int(-part * last // 1)]")],
        "one range": [("kind(1.5) *", "kind(1) *")],
        "no median": [("limit = middle + ", "limit = ")],
        "no quartiles": [("limit = middle + kind(1.5) * (high - low)", "limit = middle")],
        "above, not at, the limit": [("importance >= limit", "importance > limit")],
        "everything": [("np.where(taken, inputs.base + delta, inputs.base)", "inputs.base + delta")],
        "the model's own value": [
            ("np.where(taken, inputs.base + delta, inputs.base)", "np.where(taken, model, inputs.base)")
        ],
        "a sum for the rest": [
            ("np.where(taken, inputs.base + delta, inputs.base)", "inputs.base + np.where(taken, delta, 0)")
        ],
    },
}
"""By the methods that must be told from it: what a step would be, and the changes of the oracle's text."""
