"""What other programs' merge files hold: their keys, and what each would mean here.

Of mergekit: its version 0.1.5 from PyPI (`config.py`, `options.py`, `moe/config.py`, `evo/config.py` and the
specs of its methods).
"""

from __future__ import annotations

from collections.abc import Mapping

from core.methods import MethodSpec, ParameterValue

__all__ = [
    "LACKING",
    "MERGEKIT_KEYS",
    "MERGEKIT_OPTIONS",
    "OF_MERGEKIT",
    "OTHER_DEFAULTS",
    "OTHER_FILES",
    "REFERENCE_KEYS",
    "mergekit_parameters",
]


REFERENCE_KEYS = {
    "override_architecture": (
        "it says which table of names mergekit takes",
        "take it out: tensors are matched by the names in the files here, so that it changes nothing",
    ),
}
"""Keys that mergekit has beside the path of a model: what each is, and what to do."""

_ON_A_MODEL = (
    "it puts an adapter on a model",
    "list the adapter's folder under models, or write it with its model as `- model: MODEL+ADAPTER`",
)

MERGEKIT_KEYS: dict[str, tuple[str, str]] = {
    "layer_range": ("it takes some of the layers", "write it in the sources of slices"),
    "sources": ("it is a part of slices", "write it as `slices: [{sources: […]}]`"),
    "residual_weight": ("it is a part of slices", "it changes nothing, in mergekit either"),
    "lora": _ON_A_MODEL,
    "adapter": _ON_A_MODEL,
}
"""What each key is, and what to do."""

_DEVICE = "the device is chosen with --device on the command line, or in the window"
_NOTHING = "take the line out: here nothing depends on it"

MERGEKIT_OPTIONS = {
    "allow_crimes": "take the line out: models of different architectures are not merged here",
    "async_write": _NOTHING,
    "clone_tensors": _NOTHING,
    "copy_tokenizer": "take the line out: the tokenizer is always copied",
    "cuda": _DEVICE,
    "device": _DEVICE,
    "gpu_rich": _DEVICE,
    "lazy_unpickle": _NOTHING,
    "lora_merge_cache": _NOTHING,
    "lora_merge_dtype": _NOTHING,
    "low_cpu_memory": _DEVICE,
    "multi_gpu": _DEVICE,
    "num_threads": "their number is chosen with --threads on the command line, or in the window",
    "out_shard_size": "their size is chosen with --shard-size on the command line, or in the window",
    "quiet": _NOTHING,
    "random_seed": "write it as `seed: NUMBER`",
    "read_to_gpu": _DEVICE,
    "safe_serialization": "take the line out: the result is always written as safetensors",
    "transformers_cache": "take the line out, and name the models' folders",
    "trust_remote_code": "take the line out: no code that comes with a model is run here",
    "unsafe_truncate_embeddings": "take the line out: `vocab: union` or `vocab: base` says which rows the "
    "result has",
    "verbosity": "use -v on the command line",
    "write_model_card": "take the line out: a model card is always written",
    "write_threads": _NOTHING,
}
"""By name, what to do: options of its command line that people put into files."""

OF_MERGEKIT = frozenset(
    {
        "arcee_fusion",
        "breadcrumbs",
        "breadcrumbs_ties",
        "dare_linear",
        "dare_ties",
        "della",
        "della_linear",
        "karcher",
        "linear",
        "model_stock",
        "multislerp",
        "nearswap",
        "nuslerp",
        "passthrough",
        "ram",
        "ramplus_tl",
        "sce",
        "slerp",
        "task_arithmetic",
        "ties",
    }
)
"""The methods that mergekit has, by its names."""

LACKING: Mapping[tuple[str, str], ParameterValue] = {
    ("sce", "epsilon"): 1e-6,
    ("model_stock", "epsilon"): 1e-6,
    **{(name, "rescale_by"): "norm" for name in OF_MERGEKIT},
}
"""Parameters that its methods of the same name lack, and the value with which theirs is computed."""

OTHER_DEFAULTS: Mapping[tuple[str, str], ParameterValue] = {
    ("ram", "epsilon"): 1e-5,
    ("ramplus_tl", "epsilon"): 1e-5,
}
"""What it takes for parameters that a recipe does not give, where that is another value than here."""


def mergekit_parameters(method: MethodSpec) -> tuple[str, ...]:
    """Those parameters of a method that mergekit's of the same name has, by its names; none of another."""
    if method.name not in OF_MERGEKIT:
        return ()
    names = (spec.name for spec in method.parameters)
    return tuple(name for name in names if (method.name, name) not in LACKING)


_MOE = "a file of mergekit-moe, which makes a mixture of experts: that is not supported"
_ONE_MODEL = (
    "to merge the models themselves, which makes one model of the same size, write merge_method and models"
)

OTHER_FILES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("experts",),
        _MOE,
        _ONE_MODEL,
    ),
    (
        ("gate_mode",),
        _MOE,
        _ONE_MODEL,
    ),
    (
        ("genome",),
        "a file of mergekit-evolve, which searches for a merge: that is not supported",
        "merge with the file that its search writes, best_config.yaml",
    ),
    (
        ("finetuned_model",),
        "what mergekit-extract-lora takes, which makes an adapter of a fine-tune: that is not supported",
        "to merge an adapter, list its folder under models",
    ),
    (
        ("layer_slices",),
        "a file of bakllama, which puts a model together from layers: that is not supported",
        "to merge all layers of models, write merge_method and models",
    ),
    (
        ("modelpool",),
        "a file of FusionBench",
        "write merge_method, base_model and models: the models that it lists",
    ),
)
"""(keys, what it is, what to do) of files that are not a recipe for one merge of whole models."""
