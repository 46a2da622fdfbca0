"""Recipes of every method of mergekit as people publish them, and small models of the names in them.

First the files in mergekit's folder of examples, then kinds of recipes from model cards of merges: where they
put parameters, and what else they write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stored_models import store

__all__ = ["EXAMPLES", "LAYERS", "MERGEABLE", "OURS", "store_models"]

LAYERS = {
    **dict.fromkeys(("org/orca-13b", "org/platypus-13b", "org/wizard-13b", "org/llama-13b"), 8),
    **{"base": 6, "a": 6, "b": 6, "c": 6, "deep": 9},
}
"""The models, with their numbers of layers."""

_PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm")


def store_models(place: Path) -> None:
    """Models of 8 by 8 tensors under `place`: fine-tunes of one, which leave some parameters as they are."""
    shared = np.random.default_rng(0)
    bases: dict[str, Any] = {}
    for number, (name, layers) in enumerate(LAYERS.items()):
        own = np.random.default_rng(number)
        tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
        names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
        names += [f"model.layers.{at}.{part}.weight" for at in range(layers) for part in _PARTS]
        for tensor in names:
            shape = (8,) if "norm" in tensor else (8, 8)
            base = bases.setdefault(tensor, shared.normal(0, 0.02, shape))
            delta = own.normal(0, 0.002, shape) * (own.random(shape) < 0.7)
            words = ((base + delta).astype("<f4").view("<u4") >> 16).astype("<u2")
            tensors[tensor] = ("BF16", shape, words.tobytes())
        config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": layers}
        (place / name).parent.mkdir(exist_ok=True)
        store(place / name, tensors, config)


EXAMPLES = {
    "linear": """
models:
  - {model: org/orca-13b, parameters: {weight: 1.0}}
  - {model: org/wizard-13b, parameters: {weight: 0.3}}
  - {model: org/platypus-13b, parameters: {weight: 0.5}}
merge_method: linear
dtype: float16
""",
    "gradient-slerp": """
slices:
  - sources:
      - {model: org/orca-13b, layer_range: [0, 8]}
      - {model: org/platypus-13b, layer_range: [0, 8]}
merge_method: slerp
base_model: org/orca-13b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5 # fallback for rest of tensors
dtype: float16
""",
    "orcamini-platy-44layer": """
slices:
  - sources: [{model: org/orca-13b, layer_range: [0, 5]}]
  - sources: [{model: org/platypus-13b, layer_range: [3, 8]}]
merge_method: passthrough
dtype: float16
""",
    "ties": """
models:
  - model: org/orca-13b
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: org/platypus-13b
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1] # weight gradient
  - model: org/wizard-13b
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: org/llama-13b
parameters:
  normalize: true
  int8_mask: true
dtype: float16
""",
    "bio-merge": """
models:
  - {model: org/orca-13b, parameters: {density: 0.5, weight: 0.5}}
  - {model: org/wizard-13b, parameters: {density: 0.5, weight: 0.5}}
merge_method: ties
base_model: org/llama-13b
parameters:
  normalize: false
  int8_mask: true
dtype: float16
""",
    "arcee-fusion": """
models:
  - model: a
  - model: b
merge_method: arcee_fusion
base_model: a
dtype: bfloat16
""",
}
"""The files in mergekit's folder of examples, with other models and fewer layers."""

_TWO = "models: [{model: a}, {model: b}]\n"
_WEIGHED = "models: [{model: a, parameters: {weight: 0.6}}, {model: b, parameters: {weight: 0.4}}]\n"

MERGEABLE = {
    **EXAMPLES,
    "ties-with-the-base-listed": """
models:
  - model: base
    # no parameters necessary for base model
  - {model: a, parameters: {density: 0.5, weight: 0.5}}
  - {model: b, parameters: {density: 0.5, weight: 0.3}}
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "ties-of-a-base-with-parameters": """
models:
  - {model: base, parameters: {density: 1, weight: 1}}
  - {model: a, parameters: {density: 0.4, weight: 1}}
merge_method: ties
base_model: base
""",
    "ties-with-one-value-for-all": _TWO + "merge_method: ties\nbase_model: base\n"
    "parameters: {weight: 0.5, density: 0.6, normalize: false, lambda: 1.1, rescale: true}\n",
    "ties-with-conditions-on-the-density": _WEIGHED + "merge_method: ties\nbase_model: base\nparameters:\n"
    "  density:\n  - {filter: mlp, value: [0.2, 0.8, 0.4]}\n  - {filter: norm, value: 1.0}\n  - value: 0.5\n",
    "ties-with-conditions-and-a-value-for-the-rest": """
models:
  - model: a
    parameters:
      weight: [{filter: self_attn, value: [0.1, 0.9]}]
      density: [{filter: layers.2., value: 0.3}, {filter: lm_head, value: 0.9}]
  - model: b
    parameters: {weight: {filter: mlp, value: 0.25}}
merge_method: ties
base_model: base
parameters: {weight: [0.3, 0.7], density: 0.5}
""",
    "ties-with-numbers-in-quotes": _TWO + "merge_method: ties\nbase_model: base\n"
    "parameters: {weight: '0.5', density: ['1e-1', '0.9'], lambda: 9e-1, normalize: 'false', "
    "int8_mask: 1.0}\n",
    "ties-of-one": "models: [{model: a, parameters: {weight: 1, density: 1}}]\nmerge_method: ties\n"
    "base_model: base\nparameters: {normalize: true, int8_mask: true}\ndtype: bfloat16\n",
    "ties-of-layers": """
slices:
  - sources:
      - {model: base, layer_range: [0, 6]}
      - {model: a, layer_range: [0, 6], parameters: {density: [0.25, 0.75], weight: 0.6}}
      - {model: b, layer_range: [0, 6], parameters: {density: 0.5, weight: [0.4, 0.1]}}
merge_method: ties
base_model: base
parameters: {int8_mask: true}
dtype: bfloat16
""",
    "ties-in-a-module": "merge_method: ties\nbase_model: base\nmodules:\n  default:\n    models:\n"
    "    - {model: a, parameters: {weight: 1}}\n    - {model: b, parameters: {weight: 2}}\n"
    "    parameters: {density: 0.5}\nparameters: {density: 0.9, lambda: 0.5}\n",
    "ties-with-the-tokens-of-the-base": _WEIGHED + "merge_method: ties\nbase_model: base\n"
    "parameters: {density: 0.53, normalize: 1.0}\ntokenizer_source: base\n",
    "ties-with-the-tokens-of-all": _WEIGHED + "merge_method: ties\nbase_model: base\n"
    "parameters: {density: 0.53}\ntokenizer: {source: union}\nchat_template: auto\n",
    "dare_ties": """
models:
  - model: base
  - {model: a, parameters: {density: 0.53, weight: 0.4}}
  - {model: b, parameters: {density: 0.53, weight: 0.3}}
  - {model: c, parameters: {density: 0.53, weight: 0.3}}
merge_method: dare_ties
base_model: base
parameters: {int8_mask: true}
dtype: bfloat16
""",
    "dare_ties-with-gradients": """
models:
  - {model: a, parameters: {density: [1, 0.7, 0.1], weight: [0, 0.25, 0.5, 1]}}
  - {model: b, parameters: {density: [0.1, 0.7, 1], weight: [1, 0.5, 0.25, 0]}}
merge_method: dare_ties
base_model: base
parameters: {normalize: true, rescale: false}
dtype: float32
out_dtype: bfloat16
""",
    "dare_ties-as-evolution-writes-it": """
base_model: base
dtype: bfloat16
merge_method: dare_ties
parameters: {int8_mask: 1.0, normalize: 0.0}
slices:
- sources:
  - {layer_range: [0, 3], model: a, parameters: {density: 0.8945, weight: 0.3412}}
  - {layer_range: [0, 3], model: b, parameters: {density: 1.0, weight: -0.0312}}
  - {layer_range: [0, 3], model: base}
- sources:
  - {layer_range: [3, 6], model: a, parameters: {density: 0.5, weight: 0.25}}
  - {layer_range: [3, 6], model: b, parameters: {density: 0.75, weight: 0.6}}
  - {layer_range: [3, 6], model: base}
tokenizer_source: base
""",
    "dare_linear": _WEIGHED + "merge_method: dare_linear\nbase_model: base\nparameters: {density: 0.3}\n",
    "dare_linear-that-takes-away": "models:\n- {model: a, parameters: {weight: 1.0, density: 0.5}}\n"
    "- {model: b, parameters: {weight: -0.5, density: 0.5}}\nmerge_method: dare_linear\nbase_model: base\n"
    "parameters: {lambda: 0.8, rescale: 'true'}\n",
    "breadcrumbs": "models:\n- {model: a, parameters: {weight: 0.5, density: 0.9, gamma: 0.02}}\n"
    "- {model: b, parameters: {weight: 0.5, density: [0.9, 0.5], gamma: [0.01, 0.1]}}\n"
    "merge_method: breadcrumbs\nbase_model: base\n",
    "breadcrumbs_ties": _WEIGHED + "merge_method: breadcrumbs_ties\nbase_model: base\n"
    "parameters: {density: 0.9, gamma: 0.01, rescale: true, normalize: true}\ndtype: bfloat16\n",
    "della": """
models:
  - {model: a, parameters: {weight: 0.6, density: 0.6, epsilon: 0.1}}
  - {model: b, parameters: {weight: 0.4, density: 0.5, epsilon: 0.2}}
merge_method: della
base_model: base
parameters: {epsilon: 0.05, lambda: 1.0, normalize: true, int8_mask: true}
dtype: bfloat16
""",
    "della_linear": """
base_model: base
dtype: bfloat16
merge_method: della_linear
modules:
  default:
    slices:
    - sources:
      - layer_range: [0, 6]
        model: a
        parameters: {density: 0.5, epsilon: 0.4, weight: [0.9, 0.2, 0.2, 0.95, 0.8, 0.4]}
      - layer_range: [0, 6]
        model: b
        parameters: {density: 0.5, epsilon: 0.4, weight: [0.1, 0.9, 1.0, 0.4, 0.4, 0.5, 0.3]}
      - {layer_range: [0, 6], model: base}
parameters: {lambda: 1.0, normalize: 1.0}
tokenizer: {}
""",
    "task_arithmetic-with-parameters-of-ties": "models:\n"
    "- {model: a, parameters: {weight: 0.5, density: 0.5}}\n"
    "- {model: b, parameters: {weight: [0.2, 0.6], density: 0.5}}\nmerge_method: task_arithmetic\n"
    "base_model: base\nparameters: {normalize: false, int8_mask: true, rescale: true}\n",
    "sce": _TWO + "merge_method: sce\nbase_model: base\nparameters: {select_topk: 0.15}\ndtype: bfloat16\n",
    "sce-with-parameters-of-ties": _WEIGHED + "merge_method: sce\nbase_model: base\n"
    "parameters: {select_topk: [1.0, 0.5], density: 0.7, normalize: true, int8_mask: true, smooth: false,"
    " allow_negative_weights: false, filter_wise: false, lambda: 1.0}\n",
    "ram": _TWO + "merge_method: ram\nbase_model: base\nparameters: {epsilon: 1e-5}\n",
    "ramplus_tl": _TWO
    + "merge_method: ramplus_tl\nbase_model: base\nparameters: {r: 0.2, alpha: '0.3', epsilon: 0.0}\n",
    "nuslerp": "models:\n- {model: a, parameters: {weight: [0.1, 0.3, 0.1]}}\n"
    "- {model: b, parameters: {weight: [0.9, 0.7, 0.9]}}\nmerge_method: nuslerp\n"
    "dtype: float32\nout_dtype: bfloat16\ntokenizer: {source: b}\n",
    "nuslerp-from-a-base": "models: [{model: base}, {model: a}, {model: b}]\n"
    "merge_method: nuslerp\nbase_model: base\n"
    "parameters: {weight: [{filter: mlp, value: 0.3}, {value: 0.5}], nuslerp_flatten: false, "
    "nuslerp_row_wise: true}\n",
    "multislerp": "models: [{model: a}, {model: b}, {model: c}]\nmerge_method: multislerp\n"
    "parameters: {weight: 0.33, eps: 1e-6}\n",
    "multislerp-from-a-base": _WEIGHED + "merge_method: multislerp\nbase_model: base\n"
    "parameters: {normalize_weights: false}\n",
    "karcher": "models: [{model: a}, {model: b}, {model: c}]\nmerge_method: karcher\n"
    "parameters: {max_iter: 1000, tol: 1e-5}\ndtype: bfloat16\ntokenizer_source: union\n",
    "karcher-with-the-base-listed": "models: [{model: base}, {model: a}]\nmerge_method: karcher\n"
    "base_model: base\n",
    "model_stock": "models: [{model: a}, {model: b}, {model: c}]\nmerge_method: model_stock\n"
    "base_model: base\ndtype: bfloat16\n",
    "model_stock-by-rows": _TWO + "merge_method: model_stock\nbase_model: base\n"
    "parameters: {filter_wise: true, normalize: false, int8_mask: true}\n",
    "model_stock-of-layers": "merge_method: model_stock\nbase_model: base\nslices:\n"
    + "".join(
        f"- sources: [{{model: base, layer_range: {r}}}, {{model: a, layer_range: {r}}}, "
        f"{{model: b, layer_range: {r}}}]\n  parameters: {{filter_wise: {f}}}\n"
        for r, f in (("[0, 2]", "true"), ("[2, 6]", "false"))
    ),
    "nearswap": "models: [{model: a}]\nmerge_method: nearswap\nbase_model: base\nparameters: {t: 0.0001}\n",
    "nearswap-with-a-gradient": "models: [{model: base}, {model: a}]\nmerge_method: nearswap\n"
    "base_model: base\nparameters: {t: [0.001, '1e-2', 0]}\n",
    "arcee_fusion-of-layers": "merge_method: arcee_fusion\nbase_model: a\nslices:\n"
    "- sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [2, 6]}]\n",
    "slerp-with-parameters-of-others": "models: [{model: a}, {model: b, parameters: {weight: 0.5}}]\n"
    "merge_method: slerp\nbase_model: a\n"
    "parameters: {t: [0.1, 0.6], normalize: true, int8_mask: true, density: 1}\n",
    "linear-with-parameters-of-others": "models:\n- {model: a, parameters: {weight: 0.5, density: 0.5}}\n"
    "- {model: b, parameters: {weight: 0.5, epsilon: 0.1}}\nmerge_method: linear\n"
    "parameters: {int8_mask: true}\n",
    "passthrough-scaled": "models: [{model: a, parameters: {scale: [{filter: o_proj, value: [0.5, '1']}, "
    "{value: 1}]}}]\nmerge_method: passthrough\n",
    "the-long-form-of-models": "models:\n- {model: {model: {path: a, revision: null}, lora: null}, "
    "parameters: {weight: 1}}\n- {model: {model: {path: b}}, parameters: {weight: 1}}\nmerge_method: della\n"
    "base_model: {model: {path: base}}\nparameters: {density: 0.4, epsilon: 0.2}\n",
}
"""Recipes that mergekit merges as well."""

OURS = {
    "without-weights": _TWO + "merge_method: ties\nbase_model: base\nparameters: {density: 0.5}\n",
    "seeded": _WEIGHED + "merge_method: dare_ties\nbase_model: base\nparameters: {density: 0.5}\nseed: 42\n",
    "rescaled-as-in-the-paper": _WEIGHED + "merge_method: dare_linear\nbase_model: base\n"
    "parameters: {density: 0.5, rescale_by: density}\n",
    "ties-without-the-base-among-the-sources": "merge_method: ties\nbase_model: base\nslices:\n"
    "- sources: [{model: a, layer_range: [0, 3]}, {model: b, layer_range: [3, 6]}]\n"
    "parameters: {density: 0.5}\n",
    "three-documents": """
name: first-merge
merge_method: linear
models: [{model: a}, {model: b}]
parameters: {weight: 0.5}
---
name: second-merge
merge_method: slerp
base_model: first-merge  # Reference previous merge
models: [{model: c}]
parameters: {t: 0.5}
---
# Final merge (no name)
merge_method: dare_ties
base_model: base
models:
  - {model: second-merge, parameters: {density: 0.6, weight: 0.5}}
  - {model: b, parameters: {density: 0.8, weight: 0.5}}
""",
    "adapters-of-a-model": "models: [{model: a+adapter}, {model: b+adapter}]\nmerge_method: model_stock\n"
    "base_model: base+adapter\n",
    "an-adapter": "models: [{model: a+adapter}, {model: adapter}, {model: b}]\nmerge_method: ties\n"
    "base_model: base\nparameters: {weight: 0.5, density: 0.5}\n",
    "task-vectors": _WEIGHED
    + "merge_method: task_vectors\nsparsify: magnitude\nelect: count\ncombine: mean\n"
    "base_model: base\nparameters: {density: 0.5, lambda: 0.9}\n",
    "task-vectors-that-are-drawn": _WEIGHED + "merge_method: task_vectors\nsparsify: random\n"
    "combine: selection\nbase_model: base\nparameters: {density: 0.5, resamples: 2, elect: mass}\nseed: 1\n",
}
"""Recipes that mergekit fails on, makes otherwise, or that only a document of several merges is."""
