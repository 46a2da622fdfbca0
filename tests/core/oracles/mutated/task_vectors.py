"""The task-vector family without one of its steps, or with another."""

from __future__ import annotations

__all__ = ["MUTATIONS"]

MUTATIONS: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {
    (
        "task_arithmetic",
        "ties",
        "dare_linear",
        "dare_ties",
        "breadcrumbs",
        "breadcrumbs_ties",
        "della",
        "della_linear",
        "task_vectors",
    ): {
        "no difference": [
            ("[value - origin for value in values]", "[value + 0 * origin for value in values]")
        ],
        "the difference the other way round": [
            ("[value - origin for value in values]", "[origin - value for value in values]")
        ],
        "no weights": [("inputs.kind(factor) * term for", "term for")],
        "a term overwrites": [("mix = np.where(mine, mix + term, mix)", "mix = np.where(mine, term, mix)")],
        "never divided": [("mix = mix / divisor", "pass")],
        "no lambda": [("mix = kind(scale) * mix", "pass")],
        "no base": [("words_of(inputs.base + mix, out), np.max(", "words_of(mix, out), np.max(")],
        "the terms not rounded": [
            (
                "mix = np.where(mine, mix + term, mix)",
                "mix = np.where(mine, (mix.astype(np.longdouble) + term), mix)",
            )
        ],
    },
    (
        "ties",
        "dare_linear",
        "dare_ties",
        "breadcrumbs",
        "breadcrumbs_ties",
        "della",
        "della_linear",
        "task_vectors",
    ): {
        "nothing sparsified": [('rule == "none" or share >= 1', "True")],
        "all dropped counted": [("(delta != 0) & ~one.kept", "~one.kept")],
    },
    ("ties", "della", "della_linear"): {
        "a density of 0 is none": [("if share <= 0:", "if share < 0:")],
    },
    ("ties",): {
        "one more kept": [("math.trunc(share * delta.size)", "math.trunc(share * delta.size) + 1")],
        "as many kept as is nearest": [("math.trunc(share * delta.size)", "round(share * delta.size)")],
        "none kept of a small density": [("max(1, math.trunc", "max(0, math.trunc")],
        "the largest by sign": [
            ("positions_from_largest(np.abs(delta)) <", "positions_from_largest(delta) <")
        ],
        "the smallest kept": [
            ("positions_from_largest(np.abs(delta)) <", "positions_from_largest(-np.abs(delta)) <")
        ],
        "the last of equal ones": [
            ("positions_from_largest(np.abs(delta)) <", "positions_from_largest(np.abs(delta)[::-1])[::-1] <")
        ],
        "NaN the smallest": [
            (
                "positions_from_largest(np.abs(delta)) <",
                "positions_from_largest(np.nan_to_num(np.abs(delta))) <",
            )
        ],
        "none elected of 0": [("positive = mass >= 0", "positive = mass > 0")],
        "no sign where masses cancel": [
            ("return [np.where(positive,", "return [(mass != 0) & np.where(positive,")
        ],
        "dropped counted as elected against": [
            ("(one.kept & (one.values != 0) & ~mine)", "((delta != 0) & ~mine)"),
            (
                "for one, mine in zip(sparse, chosen, strict=True)\n        ]",
                "for one, mine, delta in zip(sparse, chosen, inputs.deltas, strict=True)\n        ]",
            ),
        ],
    },
    ("breadcrumbs", "breadcrumbs_ties"): {
        "no outliers dropped": [("math.trunc(gamma * sizes.size)", "0")],
        "the smallest dropped alone": [("sizes.size - keep - top)", "sizes.size - keep)")],
        "no middle below 0": [("low = max(0, ", "low = min(9999999, ")],
        "the last of equal ones in the middle": [("places - begin < within", "end - 1 - places < within")],
        "all of equal ones in the middle": [("places - begin < within", "within > 0")],
    },
    ("dare_linear", "dare_ties"): {
        "dropped by the words of selection": [("at, key, 2) >= drop", "at, key, 0) >= drop")],
        "all dropped alike": [
            ("draw_words(delta.size, at, key, 2) >= drop", "draw_words(delta.size, 0, key, 2) >= drop")
        ],
        "drops counted from 1": [("at, key, 2) >= drop", "at + 1, key, 2) >= drop")],
        "the wrong share dropped": [("drop_limit(1 - Fraction(share))", "drop_limit(Fraction(share))")],
    },
    ("della", "della_linear"): {
        "no ranks": [("quantile * (2 * epsilon)", "0 * quantile + epsilon")],
        "the largest dropped": [("quantile * (2 * epsilon)", "(1 - quantile) * (2 * epsilon)")],
        "half of the range of densities": [("(2 * epsilon)", "epsilon")],
        "ranks in the tensor": [("rows = rows_of(sizes, shape)", "rows = sizes.reshape(1, -1)")],
        "ranks up to the row's length": [("places / last if", "places / rows.shape[1] if")],
        "equal ranks the other way round": [
            ("np.argsort(ranks(rows), axis=1", "last - np.argsort(ranks(rows)[:, ::-1], axis=1")
        ],
        "ranked dropped by the words of selection": [
            (
                "kept = draw_words(delta.size, at, key, 2) >= limits",
                "kept = draw_words(delta.size, at, key, 0) >= limits",
            )
        ],
        "one density for all ranks": [("delta / probability.astype(kind)", "delta / kind(share)")],
    },
    ("ties", "dare_linear", "dare_ties", "breadcrumbs", "breadcrumbs_ties", "della", "della_linear"): {
        "never rescaled": [("    elif rescale:", "    elif False:")],
        "always rescaled by the norm": [('if rescale and rescale_by == "density"', "if False")],
        "rescaled by the inverse": [("kind(before / after) * delta", "kind(after / before) * delta")],
        "rescaled by squares": [
            ("total(np.abs(delta)), total(np.abs(values))", "total(delta * delta), total(values * values)")
        ],
        "rescaled by sums with signs": [("total(np.abs(delta)), total", "total(delta), total")],
        "rescaled however small": [("before >= 1e-7 and after >= 1e-7", "after > 0")],
        "rescaled by what is not finite": [
            ("math.isfinite(before) and math.isfinite(after) and before", "before")
        ],
        "multiplied by the inverse density": [
            ("delta / probability.astype(kind)", "delta * (1 / probability).astype(kind)")
        ],
    },
    ("task_arithmetic",): {
        "weights without their signs": [
            ("inputs.kind(factor) * term for", "inputs.kind(abs(factor)) * term for")
        ],
        "divided by what survives, without election": [
            (
                "divisor = divisor * kind(1.0 if abs(exact) < 1e-8 else exact)",
                "divisor = divisor * kind(np.sum(np.sign(weight)) or 1.0)",
            )
        ],
    },
    ("ties", "dare_ties", "breadcrumbs_ties", "della", "task_vectors"): {
        "no election": [("chosen = elected(terms, elect)", "pass")],
        "mass for count, and count for mass": [
            ("elected(terms, elect)", 'elected(terms, "count" if elect == "mass" else "mass")')
        ],
        "the minority elected": [("positive = mass >= 0", "positive = ~(mass >= 0)")],
        "those elected against added": [("mix = np.where(mine, mix + term, mix)", "mix = mix + term")],
        "divided by all weights": [
            ("divisor = np.where(mine, divisor + kind(factor), divisor)", "divisor = divisor + kind(factor)")
        ],
        "divided by the number of those elected": [
            (
                "divisor = np.where(mine, divisor + kind(factor), divisor)",
                "divisor = np.where(mine, divisor + 1, divisor)",
            )
        ],
        "zeros counted as elected against": [("one.kept & (one.values != 0) & ~mine", "one.kept & ~mine")],
    },
    ("dare_ties", "ties", "breadcrumbs_ties", "della", "task_vectors"): {
        "elected before weights": [
            ("elected(terms, elect)", "elected([one.values for one in sparse], elect)")
        ],
    },
    ("ties", "della"): {
        "zeros elected": [
            ("np.where(positive, term > 0, term < 0)", "np.where(positive, term >= 0, term <= 0)")
        ],
        "divided by no weight": [("np.where(divisor == 0, kind(1), divisor)", "divisor")],
    },
    ("task_arithmetic", "dare_linear", "breadcrumbs", "della_linear"): {
        "divided by a sum of 0": [("1.0 if abs(exact) < 1e-8 else exact", "exact")],
    },
    (
        "task_arithmetic",
        "ties",
        "dare_linear",
        "dare_ties",
        "breadcrumbs",
        "breadcrumbs_ties",
        "della",
        "della_linear",
    ): {
        "lambda without its sign": [("mix = kind(scale) * mix", "mix = kind(abs(scale)) * mix")],
    },
    ("task_vectors",): {
        "selected with weights": [('    if combine != "selection":\n', "    if True:\n")],
        "dropped ones are a difference": [("nothing = zero | np.array(away)", "nothing = zero")],
        "elected ones are a difference": [("away = [~(one.kept & mine) for", "away = [~one.kept for")],
        "the bits for every lambda": [("bits if plain and scale == 1 else", "bits if plain else")],
        "no lambda in selection": [("mix = inputs.kind(scale) * mix", "pass")],
        "the last draw where nothing is left": [
            ("missing, bits if plain else converted(base, dtype, out)", "missing, bits")
        ],
        "the last sum where nothing is left": [
            (
                "np.where(missing, bits if plain else converted(base, dtype, out), result)",
                "np.where(missing & plain, bits, result)",
            )
        ],
    },
    ("task_vectors", "parameter_selection"): {
        "shares all equal": [("picks(words, weight)", "picks(words, [1.0] * len(models))")],
        "drawn once": [("range(resamples + 1)", "range(1)")],
        "drawn again though there is a difference": [
            ("np.where(missing, picks(words, weight), drawn)", "picks(words, weight)")
        ],
        "zero differences are a difference": [
            ("nothing = zero | np.array(away)", "nothing = np.array(away)")
        ],
        "never the bits": [("bits if plain and scale == 1 else", "bits if False else")],
        "the base where nothing is left": [("bits if plain else converted(base", "converted(base")],
    },
    ("task_arithmetic", "ties", "dare_linear", "breadcrumbs", "della"): {
        "the last sum not rounded": [
            (
                "words_of(inputs.base + mix, out), np.max(",
                "words_of(inputs.base.astype(np.longdouble) + mix, out), np.max(",
            )
        ],
    },
    ("task_arithmetic", "ties", "dare_ties", "breadcrumbs_ties", "della", "task_vectors"): {
        "the sum begins with -0": [
            ("mix = np.zeros(inputs.base.shape, kind)", "mix = -np.zeros(inputs.base.shape, kind)")
        ],
    },
}
"""By the methods that must be told from it: what a step would be, and the changes of the oracle's text."""
