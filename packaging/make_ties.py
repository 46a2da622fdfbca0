"""Write core/checkpoint/ties.json: which tensors transformers declares to share memory, by model type.

Run with transformers and torch installed, after an update of transformers: `python packaging/make_ties.py`.
No model is built: the declarations are class attributes (`PreTrainedModel._tied_weights_keys`), and whether
they hold where a config is silent is the config class's default of `tie_word_embeddings`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import transformers  # noqa: TID253
from transformers.models.auto.configuration_auto import (  # noqa: TID253
    CONFIG_MAPPING,
    CONFIG_MAPPING_NAMES,
)

TABLE = Path(__file__).resolve().parent.parent / "core" / "checkpoint" / "ties.json"

_CONDITIONAL = {
    "marian": [
        ["decoder.embed_tokens.weight", "shared.weight", "share_encoder_decoder_embeddings"],
        ["encoder.embed_tokens.weight", "shared.weight", "share_encoder_decoder_embeddings"],
        ["lm_head.weight", "model.shared.weight", "share_encoder_decoder_embeddings"],
    ],
}
"""What a model declares when it is made, if its config does not have that key as false."""


def declared(config_class: type) -> list[list[str]]:
    """[alias, first] of every model class beside `config_class`, each pair once."""
    name = config_class.__module__.replace("configuration_", "modeling_")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(f"left out: {name}: {error}", file=sys.stderr)
        return []
    pairs: dict[tuple[str, str], None] = {}
    for value in vars(module).values():
        if not inspect.isclass(value) or not issubclass(value, transformers.PreTrainedModel):
            continue
        keys = getattr(value, "_tied_weights_keys", None)
        if isinstance(keys, dict):
            pairs |= dict.fromkeys((alias, first) for alias, first in keys.items())
    return [list(pair) for pair in pairs]


def default_of(config_class: Any) -> bool | None:
    """What the class says where a config does not."""
    try:
        value = getattr(config_class(), "tie_word_embeddings", None)
    except Exception:
        value = getattr(config_class, "tie_word_embeddings", None)
    return value if isinstance(value, bool) else None


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    models = {}
    for model_type in sorted(CONFIG_MAPPING_NAMES):
        try:
            config_class = CONFIG_MAPPING[model_type]
        except ImportError as error:
            print(f"left out: {model_type}: {error}", file=sys.stderr)
            continue
        pairs = declared(config_class) + _CONDITIONAL.get(model_type, [])
        default = default_of(config_class)
        if pairs or default is not None:
            models[model_type] = {"default": default, "pairs": pairs}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in models.items())
    head = json.dumps(f"transformers {transformers.__version__}")
    TABLE.write_text(f'{{"source": {head}, "models": {{\n{lines}\n}}}}\n')
    print(f"{TABLE}: {len(models)} model types")


if __name__ == "__main__":
    main()
