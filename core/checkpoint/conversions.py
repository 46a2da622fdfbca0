"""Commands that turn what is on disk into what can be read, to be pasted into a shell."""

from __future__ import annotations

import glob
import re
import shlex
from pathlib import Path

__all__ = ["quoted", "safetensors_path", "to_safetensors"]

_LOAD = "torch.load(sys.argv[1], map_location='cpu', weights_only={weights_only})"
_LOAD_SCRIPT = "torch.jit.load(sys.argv[1], map_location='cpu').state_dict()"
_CODE = (
    "import sys, torch; from safetensors.torch import save_file; d = {load}; "
    "d = next((d[k] for k in ('state_dict', 'model', 'module', 'model_state_dict') "
    "if isinstance(d.get(k), dict)), d); "
    "save_file({{n: t.detach().contiguous().clone() for n, t in d.items() if torch.is_tensor(t)}}, "
    "sys.argv[2], {{'format': 'pt'}})"
)

_PARTS = re.compile(r"-\d{5}-of-\d{5}(?=\.[a-z]+$)")
_CODE_OF_PARTS = (
    "import glob, sys, torch; from safetensors.torch import save_file; "
    "[save_file({{n: t.detach().contiguous().clone() for n, t in torch.load(p, map_location='cpu', "
    "weights_only={weights_only}).items() if torch.is_tensor(t)}}, "
    "p.rpartition('.')[0].replace('pytorch_model-', 'model-') + '.safetensors', {{'format': 'pt'}}) "
    "for p in sorted(glob.glob(sys.argv[1]))]"
)
"""Of all files of a model: one alone would make it a model of which the others are missing."""


def to_safetensors(path: Path, *, trusted: bool = False, script: bool = False) -> str:
    """The command that makes a safetensors file beside the pickle `path`, which is then taken; of one of
    several files of a model, beside each.

    Args:
        path: what torch.save wrote.
        trusted: whether the code that the pickle names may be run.
        script: whether it is a program of TorchScript.
    """
    if (part := _PARTS.search(path.name)) and not script:
        every = Path(glob.escape(str(path.parent)), path.name[: part.start()] + "-*" + path.suffix)
        return f'python -c "{_CODE_OF_PARTS.format(weights_only=not trusted)}" {quoted(every)}'
    load = _LOAD_SCRIPT if script else _LOAD.format(weights_only=not trusted)
    return f'python -c "{_CODE.format(load=load)}" {quoted(path)} {quoted(safetensors_path(path))}'


def safetensors_path(path: Path) -> Path:
    """The name of a safetensors file with what `path` holds."""
    stem = path.stem if path.suffix else path.name
    if stem == "pytorch_model" or stem.startswith("pytorch_model-"):
        stem = stem.removeprefix("pytorch_")
    return path.with_name(f"{stem}.safetensors")


def quoted(path: Path) -> str:
    """`path` as a shell takes it."""
    return shlex.quote(str(path))
