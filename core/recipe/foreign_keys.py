"""What other programs' merge files hold: their keys, and what each would mean here.

Of mergekit: its version 0.1.5 from PyPI (`config.py`, `options.py`, `moe/config.py`, `evo/config.py` and the
specs of its methods).
"""

from __future__ import annotations

__all__ = ["MERGEKIT_KEYS", "MERGEKIT_OPTIONS", "OTHER_FILES", "PARAMETERS_OF", "REFERENCE_KEYS"]


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

_TASK_VECTORS = ("weight", "normalize", "lambda")
_SPARSE = (*_TASK_VECTORS, "density", "rescale")

PARAMETERS_OF: dict[str, tuple[str, ...]] = {
    "linear": ("weight", "normalize"),
    "task_arithmetic": _TASK_VECTORS,
    "slerp": ("t",),
    "ties": _SPARSE,
    "dare_ties": _SPARSE,
    "dare_linear": _SPARSE,
    "breadcrumbs": (*_SPARSE, "gamma"),
    "breadcrumbs_ties": (*_SPARSE, "gamma"),
    "della": (*_SPARSE, "epsilon"),
    "della_linear": (*_SPARSE, "epsilon"),
    "sce": ("select_topk",),
    "model_stock": ("filter_wise",),
    "nuslerp": ("weight", "nuslerp_flatten", "nuslerp_row_wise"),
    "multislerp": ("weight", "normalize_weights", "eps"),
    "karcher": ("max_iter", "tol"),
    "passthrough": ("scale",),
    "nearswap": ("t",),
    "arcee_fusion": (),
    "ram": ("epsilon",),
    "ramplus_tl": ("epsilon", "r", "alpha"),
}
"""Of each method of mergekit those parameters that change its result."""

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
