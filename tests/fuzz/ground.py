"""What the parsers are fed from: small models, an output, merges that were cut off.

And files that the program itself wrote of them, to be spoilt.
"""

from __future__ import annotations

import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from small_merges import Story, contents, make_inputs

from core import plan_merge, run_merge
from core.checkpoint.companions import Companion
from core.checkpoint.headers import encode_header
from core.checkpoint.ownership import OWN_FOLDER
from core.checkpoint.staging import JOURNAL_NAME, staging_path
from core.dtypes import DTYPES
from core.recipe.parsing import parse_recipe
from core.run.record import RunRecord, read_record
from core.run.resuming import again_entry, changed_entry
from core.runs.history import History, HistoryEntry

__all__ = ["ENTRY_ID", "NOTE_NAME", "Begun", "Ground"]

SAMPLES = Path(__file__).parents[1] / "data" / "version-0.1"
"""What version 0.1 wrote."""

NOTE_NAME = f"{OWN_FOLDER}/owner.json"
ENTRY_ID = "run"
"""Of the entries of the history, whose files are called by it."""

_SHAPES = {
    "model.embed_tokens.weight": (4, 3),
    "model.layers.0.mlp.up_proj.weight": (8,),
    "model.layers.1.mlp.up_proj.weight": (8,),
    "model.norm.weight": (2,),
}
_SHARD_BYTES = 30
_MODELS = ("base", "model-1", "model-2")
_SELECTION = {
    "merge_method": "parameter_selection",
    "base_model": "base",
    "models": [{"model": "model-1", "parameters": {"weight": 2}}, {"model": "model-2"}],
    "parameters": {"resamples": [{"filter": "mlp", "value": [1, 2]}, {"value": 0}], "weight": [0.5, 1]},
    "dtype": "float32",
    "out_dtype": "bfloat16",
    "seed": 3,
    "zero_tolerance": 0.001,
    "nonfinite": "pass",
    "tokenizer_source": "base",
}
_RECIPES: tuple[dict[str, Any], ...] = (
    _SELECTION,
    {"merge_method": "linear", "models": [{"model": "model-1"}, {"model": "model-2"}]},
    {
        "merge_method": "slerp",
        "base_model": "base",
        "models": [{"model": "base"}, {"model": {"model": {"path": "model-1"}}}],
        "parameters": {"t": [{"filter": "mlp", "value": [0, 0.5, 1]}, {"value": 0.5}]},
    },
    {
        "merge_method": "task_arithmetic",
        "base_model": "base",
        "models": [{"model": "model-1", "parameters": {"weight": 1e-3}}, {"model": "model-2"}],
        "parameters": {"lambda": 0.7, "normalize": True},
        "vocab": "union",
    },
)
_TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [{"id": 0, "content": "/a/b", "special": True}],
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "/x/"}},
    "model": {"type": "BPE", "vocab": {"/a/b": 0, "b": 1}, "merges": [["a", "b"]]},
    "from": "/home/someone/model",
}
_TOKENIZER_CONFIG: dict[str, Any] = {
    "name_or_path": "/home/someone/model",
    "eos_token": {"content": "</s>", "from": "/home/x"},
    "added_tokens_decoder": {"0": {"content": "/a/b"}},
    "chat_template": [{"name": "default", "template": "/x"}],
    "files": ["C:\\models\\x", "~/x", "see /mnt/x", "https://example.org/a"],
}
_CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 4,
    "num_hidden_layers": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "id2label": {"0": "/x"},
    "_name_or_path": "/home/someone/model",
    "text_config": {"vocab_size": 4, "tie_word_embeddings": True, "dtype": "float32"},
}


class Ground:
    """A folder of everything that the targets need, made when it is first asked for.

    Attributes:
        folder: where it is, in memory if possible.
        models: holds a base and two models of 100 bytes; recipes name them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def models(self) -> Path:
        folder = self.folder / "models"
        for number, name in enumerate(_MODELS):
            (folder / name).mkdir(parents=True)
            entries, data = {}, b""
            for tensor, shape in _SHAPES.items():
                values = np.arange(np.prod(shape), dtype=np.float32)
                values[::2] += number
                entries[tensor] = (DTYPES["F32"], shape, len(data), len(data) + values.nbytes)
                data += values.tobytes()
            (folder / name / "model.safetensors").write_bytes(encode_header(entries) + data)
            for file, content in (
                ("config.json", _CONFIG),
                ("tokenizer.json", _TOKENIZER),
                ("tokenizer_config.json", _TOKENIZER_CONFIG),
            ):
                (folder / name / file).write_text(json.dumps(content))
        return folder

    def merged(self, number: int, shard_bytes: int) -> Path:
        """The output of one of the recipes."""
        out = self.folder / f"out-{number}-{shard_bytes}"
        if not out.exists():
            plan = plan_merge(parse_recipe(_RECIPES[number], self.models), shard_size_bytes=shard_bytes)
            run_merge(plan, out, threads=1)
        return out

    def model(self, name: str) -> Path:
        """A model whose small files are to be exchanged, by the target `name`."""
        return self._copy_of(self.models / "model-1", name)

    @property
    def out(self) -> Path:
        """An output whose record is to be exchanged."""
        return self._copy_of(self.merged(0, 10**9), "out")

    @property
    def sharded(self) -> Path:
        """A model in several files, whose index is to be exchanged."""
        return self._copy_of(self.merged(0, _SHARD_BYTES), "sharded")

    @cached_property
    def stories(self) -> dict[str, Begun]:
        """Merges that were cut off, by method: one that draws, and one that folds."""
        inputs = self.folder / "inputs"
        make_inputs(inputs)
        return {
            name: Begun(inputs, self.folder / f"story-{name}", name)
            for name in ("parameter_selection", "slerp")
        }

    @cached_property
    def records(self) -> list[RunRecord]:
        return [read_record(self.merged(number, 10**9)) for number in range(len(_RECIPES))]

    # -- files that the program wrote

    def headers(self) -> list[bytes]:
        shards = [self.models / "base" / "model.safetensors", *sorted(self.sharded.glob("*.safetensors"))]
        return [path.read_bytes() for path in shards]

    def header_texts(self) -> list[bytes]:
        return [data[8 : 8 + int.from_bytes(data[:8], "little")] for data in self.headers()]

    def indices(self) -> list[bytes]:
        return [(self.merged(0, _SHARD_BYTES) / "model.safetensors.index.json").read_bytes()]

    def configs(self) -> list[bytes]:
        return [
            (folder / "config.json").read_bytes()
            for folder in (self.merged(0, _SHARD_BYTES), self.models / "base")
        ]

    def tokenizers(self) -> list[bytes]:
        return [json.dumps(_TOKENIZER, indent=indent).encode() for indent in (None, 2)]

    def tokenizer_configs(self) -> list[bytes]:
        return [json.dumps(_TOKENIZER_CONFIG).encode(), json.dumps({"bos_token": "<s>"}).encode()]

    def recipes(self) -> list[bytes]:
        written = [yaml.safe_dump(data, sort_keys=False).encode() for data in _RECIPES]
        merging = b"""\
merge_method: linear
models:
  - &one {model: model-1, parameters: &given {weight: 0.5}}
  - {<<: *one, model: model-2}
parameters: {<<: *given, normalize: yes}
"""
        return [
            *written,
            merging,
            *(path.read_bytes() for path in sorted((SAMPLES / "recipes").glob("*.y*ml"))),
        ]

    def journals(self) -> list[bytes]:
        return [story.journal for story in self.stories.values()]

    def journal_entries(self) -> list[bytes]:
        """One a line, without checksums."""
        found = []
        for story in self.stories.values():
            lines = [line[17:] for line in story.journal.splitlines()]
            changed = changed_entry(next(iter(story.plan.headers)))
            more = [json.dumps(entry).encode() for entry in (changed, again_entry(story.plan, [1]))]
            found += [b"\n".join(lines), b"\n".join([*lines, *more, *lines[1:]])]
        return found

    def run_records(self) -> list[bytes]:
        """With few tensors."""
        samples = [json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("records/*/*.json"))]
        short = [json.dumps(data | {"tensors": data["tensors"][:3]}).encode() for data in samples]
        return [*(record.to_json() for record in self.records), *short]

    def history(self) -> list[bytes]:
        """All of the same id."""
        history = History(self.folder / "written")
        found = [json.loads(path.read_bytes()) for path in sorted((SAMPLES / "history").glob("*.json"))]
        for data, record in zip(_RECIPES, self.records, strict=True):
            begun = HistoryEntry.begin(parse_recipe(data, self.models), self.out)
            for entry in (begun, begun.failed("no space"), begun.cancelled(), begun.done(record)):
                history.add(entry)
                found.append(json.loads((history.folder / f"{entry.id}.json").read_bytes()))
        return [json.dumps({**data, "id": ENTRY_ID}, indent=2).encode() for data in found]

    def notes(self) -> list[bytes]:
        return [story.note for story in self.stories.values()]

    def settings(self) -> list[bytes]:
        from gui.settings import Settings

        path = self.folder / "written.ini"
        settings = Settings(path)
        settings.geometry, settings.window_state = bytes(range(256)), b'\0\1;,"=@'
        settings.device, settings.threads, settings.shard_size_bytes = "cuda:0", 4, 10**9
        settings.recipe_unfolded = True
        for name in ("a.yaml", "b, c.yaml", "@x.yaml", "ü\n.yaml"):
            settings.add_recent_recipe(Path("/recipes") / name)
        settings.sync()
        return [path.read_bytes(), (SAMPLES / "settings.ini").read_bytes()]

    def _copy_of(self, folder: Path, name: str) -> Path:
        place = self.folder / name
        return place if place.exists() else Path(shutil.copytree(folder, place))


class Begun:
    """A merge that was cut off when parts of it were finished.

    Attributes:
        plan: what is merged.
        out: where to.
        staging: what it left.
        journal, note: of that folder.
        small: the small files of the output, by name.
    """

    def __init__(self, inputs: Path, parent: Path, method: str) -> None:
        story = Story(inputs, parent, method)
        calls = len(story.cut_off(-1).calls)
        story.clear()
        story.cut_off(calls * 2 // 3)
        self.plan, self.out, self.staging = story.plan(), story.out, staging_path(story.out)
        self.journal = (self.staging / JOURNAL_NAME).read_bytes()
        self.note = (self.staging / NOTE_NAME).read_bytes()
        self.small = {
            name: Companion.of_file(self.staging / name)
            for name in contents(self.staging)
            if not name.startswith(f"{OWN_FOLDER}/") and not name.endswith(".safetensors")
        }
