"""With which parameters methods are tried."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

__all__ = ["CHARACTERISTIC", "PAIRS", "SETTINGS", "Setting"]

PAIRS = [
    ("BF16", "BF16"),
    ("F16", "F32"),
    ("F64", "F64"),
    ("F32", "BF16"),
    ("BF16", "F16"),
    ("F64", "F16"),
]
"""Merge dtypes and output dtypes."""


class Setting(NamedTuple):
    """A number of sub-models, parameters, and whether there is a base."""

    models: int
    parameters: dict[str, Any]
    has_base: bool = True


# -- parameters ----------------------------------------------------------------------------------------------

_ODD = [0.8977, 0.3131, 1.1837]
"""Weights whose small multiples are no halves: those of short decimals lie between two numbers, or cancel."""

_WEIGHTS: list[Setting] = [
    Setting(3, {}),
    Setting(3, {"weight": [0.3, 0.6, -0.4], "lambda": 0.7}),
    Setting(3, {"weight": [0.0, 1.0, 1.7], "lambda": -1.3}),
    Setting(1, {"weight": [-0.7], "lambda": 0.0}),
]

_MIXTURES: list[Setting] = [
    Setting(3, {"normalize": True, "weight": [0.6, 0.3, 0.25]}),
    Setting(3, {"normalize": False, "weight": [0.6, 0.3, 0.25]}),
    Setting(2, {"normalize": True, "weight": [0.4, -0.4], "lambda": 1.9}),
    Setting(5, {"normalize": True, "weight": [0.9, 0.1, 0.4, -0.2, 0.25]}),
]


def _sparse(*densities: float, **others: list[float]) -> list[Setting]:
    """Settings of what is sparsified by three densities."""
    some = {"density": list(densities), "weight": _ODD} | others
    return [
        Setting(3, some),
        Setting(3, some | {"rescale": False}),
        Setting(3, some | {"rescale": True, "lambda": 0.7}),
        Setting(3, some | {"rescale": True, "rescale_by": "density"}),
        Setting(3, {"density": [1.0, 0.0, densities[0]], "rescale": True}),
        Setting(3, {"density": [0.0, 0.0, 0.0], "rescale": True}),
        Setting(1, {"density": [densities[1]]}),
        Setting(3, some | {"normalize": True}),
        Setting(3, some | {"normalize": False, "weight": [0.9, -0.6, 1.1]}),
    ]


_BY_SIZE = [*_WEIGHTS, *_MIXTURES, *_sparse(0.2, 0.5, 0.9), Setting(2, {"density": [1e-9, 0.003]})]
_BY_RANK = [
    *_WEIGHTS,
    *_MIXTURES,
    *_sparse(0.3137, 0.5071, 0.7899),
    *_sparse(0.3, 0.5, 0.6, epsilon=[0.1, 0.0, 0.35])[:4],
]
_OUTLIERS = [
    *_BY_SIZE,
    *(
        Setting(3, {"density": [0.2, 0.5, 0.9], "gamma": gamma, "weight": _ODD})
        for gamma in ([0.0, 0.05, 0.3], [0.7, 0.5, 1.0])
    ),
]


def _chosen(sparsify: str, elect: str, combine: str, at: int = 0) -> Setting:
    """Task vectors with these choices, and other parameters by `at`."""
    choices = {"sparsify": sparsify, "elect": elect, "combine": combine, "weight": _ODD}
    densities = [
        {"density": [0.3137, 0.5071, 0.7899]},
        {"density": [0.3137, 1.0, 0.7899], "rescale": True, "rescale_by": "density"},
        {"density": [0.0, 0.4, 0.6], "rescale": True},
    ]
    others: dict[str, Any] = {"lambda": 0.6131} if at % 2 else {}
    if combine == "selection":
        others["resamples"] = 2
    return Setting(3, choices | others | (densities[at % 3] if sparsify != "none" else {}))


_CHOICES = list(
    itertools.product(
        ("none", "magnitude", "random", "ranked", "outliers"),
        ("none", "mass", "count"),
        ("sum", "mean", "selection"),
    )
)

_TASK_VECTORS = [
    Setting(3, {}),
    Setting(3, {"combine": "selection", "resamples": 1, "lambda": 0.6}),
    *(_chosen(*choices, at=at) for at, choices in enumerate(_CHOICES)),
    *(_chosen(*choices, at=at // 3) for at, choices in enumerate(_CHOICES) if choices[2] == "selection"),
    Setting(3, {"combine": "selection", "resamples": 0, "weight": [1.0, 0.0, 2.0]}),
    Setting(4, {"combine": "selection", "resamples": 9, "elect": "count"}),
    Setting(
        1, {"combine": "selection", "resamples": 1, "elect": "mass", "sparsify": "random", "density": [0.4]}
    ),
]

SETTINGS: dict[str, list[Setting]] = {
    "task_vectors": _TASK_VECTORS,
    "parameter_selection": [
        Setting(3, {}),
        Setting(3, {"resamples": 4, "weight": [0.3, 0.0, 0.9]}),
        Setting(1, {"resamples": 0}),
    ],
    "task_arithmetic": [*_WEIGHTS, *_MIXTURES],
    "ties": _BY_SIZE,
    "dare_linear": _BY_SIZE,
    "dare_ties": _BY_SIZE,
    "breadcrumbs": _OUTLIERS,
    "breadcrumbs_ties": _OUTLIERS,
    "della": _BY_RANK,
    "della_linear": _BY_RANK,
    "sce": [
        Setting(3, {}),
        Setting(1, {}),
        *(Setting(3, {"select_topk": share}) for share in (0.3, 0.002, 0.0)),
        *(Setting(3, {"epsilon": limit}) for limit in (1e-6, 0.3)),
        Setting(5, {"select_topk": 0.7, "epsilon": 1e-6}),
    ],
    "ram": [Setting(3, {}), Setting(1, {}), Setting(5, {"epsilon": 1e-5}), Setting(3, {"epsilon": 0.01})],
    "ramplus_tl": [
        Setting(3, {}),
        Setting(1, {}),
        Setting(3, {"epsilon": 0.01}),
        *(Setting(3, {"r": r, "alpha": alpha}) for r, alpha in ((0.0, 0.2), (1.5, 40.0), (0.5, 0.0))),
        Setting(5, {"r": -0.3, "alpha": 40.0, "epsilon": 1e-5}),
    ],
    "slerp": [Setting(1, {"t": t}) for t in (0.5, 0.0, 1.3)],
    "nuslerp": [
        *(
            Setting(2, {"nuslerp_flatten": flatten, "nuslerp_row_wise": columns, **weight}, has_base)
            for flatten, columns in ((True, False), (False, False), (False, True))
            for has_base in (True, False)
            for weight in ({}, {"weight": [0.3, 0.9]})
        ),
        Setting(2, {"weight": [0.4, -0.4]}),
        Setting(2, {"weight": [0.0, 1.0]}, False),
        Setting(2, {"weight": [1.5, -0.5], "nuslerp_row_wise": True}),
    ],
    "multislerp": [
        *(Setting(many, {}, has_base) for many in (1, 2, 3) for has_base in (True, False)),
        Setting(3, {"weight": [0.3, 0.9, 0.1]}),
        Setting(3, {"weight": [0.3, 0.9, -0.1], "normalize_weights": False}, False),
        Setting(3, {"weight": [0.3, 0.9, 0.0], "eps": 0.2}),
        Setting(2, {"eps": 1e9}),
    ],
    "karcher": [
        *(Setting(many, {}, False) for many in (1, 2, 4)),
        Setting(3, {"max_iter": 1}, False),
        Setting(3, {"max_iter": 100, "tol": 1e-9}, False),
        Setting(3, {"tol": 0.1}, False),
        Setting(3, {"tol": 1e9}, False),
    ],
    "model_stock": [
        Setting(many, {"filter_wise": by_rows, "epsilon": limit})
        for many in (2, 3)
        for by_rows in (False, True)
        for limit in (0.0, 1e-6, 1.0)
    ],
    "nearswap": [Setting(1, {}), *(Setting(1, {"t": t}) for t in (0.0, 0.02, -0.01, 1e-7))],
    "arcee_fusion": [Setting(1, {})],
    "passthrough": [Setting(1, {"scale": [scale]}, False) for scale in (1.0, -0.7, 0.0)],
}
"""By method: the defaults, and for each parameter other values."""

CHARACTERISTIC: dict[str, list[Setting]] = {
    "task_vectors": [
        _chosen("ranked", "count", "mean"),
        _chosen("ranked", "mass", "selection"),
        _chosen("magnitude", "count", "selection", at=1),
        _chosen("none", "none", "selection"),
    ],
    "parameter_selection": SETTINGS["parameter_selection"][1:2],
    "task_arithmetic": [
        Setting(3, {"weight": [-weight for weight in _ODD], "lambda": 0.7123}),
        Setting(3, {"weight": _ODD, "normalize": True}),
    ],
    **{
        name: [_sparse(0.3137, 0.5071, 0.7899)[2], _sparse(0.3137, 0.5071, 0.7899)[3]]
        for name in ("ties", "dare_linear", "dare_ties", "breadcrumbs", "breadcrumbs_ties")
    },
    **{
        name: [_sparse(0.3137, 0.5071, 0.7899)[0], _sparse(0.3137, 0.5071, 0.7899)[3]]
        for name in ("della", "della_linear")
    },
    "sce": [Setting(3, {}), Setting(3, {"select_topk": 0.3}), Setting(5, {"epsilon": 0.3})],
    "ram": [Setting(3, {})],
    "ramplus_tl": [Setting(3, {"r": 0.5, "alpha": 1.5})],
    "slerp": [Setting(1, {"t": 0.3137})],
    "nuslerp": [
        Setting(
            2, {"nuslerp_flatten": flatten, "nuslerp_row_wise": columns, "weight": [0.3137, 0.8977]}, has_base
        )
        for flatten, columns, has_base in ((True, False, True), (False, False, True), (False, True, False))
    ],
    "multislerp": [Setting(3, {"weight": _ODD}), Setting(2, {}, False), Setting(1, {})],
    "karcher": [Setting(3, {}, False), Setting(4, {"tol": 0.9}, False), Setting(1, {}, False)],
    "model_stock": [Setting(2, {}), Setting(3, {"filter_wise": True})],
    "nearswap": [Setting(1, {"t": 0.002})],
    "arcee_fusion": [Setting(1, {})],
    "passthrough": [Setting(1, {"scale": [scale]}, False) for scale in (-0.7123, 1.0)],
}
"""By method: settings in which all of its steps do something."""
