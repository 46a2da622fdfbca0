"""A workshop: small models, recipes, and the commands run in this process on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.checkpoint.headers import encode_header
from core.cli.commands import main
from core.cli.desktop import Desktop
from core.dtypes import DTYPES

SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (64, 8),
    "model.layers.0.mlp.up_proj.weight": (300, 8),
    "model.norm.weight": (8,),
}
CONFIG = {"model_type": "llama", "vocab_size": 64, "torch_dtype": "bfloat16"}


@dataclass(frozen=True)
class Result:
    """What one command said."""

    status: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one error line, without its label."""
        found = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        assert len(found) == 1, self.stderr
        return found[0].removeprefix("error: ")


class Workshop:
    """Makes models and recipes in one folder, and runs commands.

    Attributes:
        folder: holds everything.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def model(
        self,
        name: str,
        *,
        seed: int = 0,
        shapes: Mapping[str, Sequence[int]] = SHAPES,
        dtypes: Mapping[str, str] | None = None,
        config: Any = CONFIG,
    ) -> Path:
        """A model whose weights differ from seed 0's in three of ten places. BF16 unless `dtypes` says so."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(self.weights(seed=seed, shapes=shapes, dtypes=dtypes))
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        return folder

    def weights(
        self,
        *,
        seed: int = 0,
        shapes: Mapping[str, Sequence[int]] = SHAPES,
        dtypes: Mapping[str, str] | None = None,
    ) -> bytes:
        """The bytes of a safetensors file."""
        base, changes = np.random.default_rng(99), np.random.default_rng(seed)
        entries, data = {}, b""
        for name, shape in shapes.items():
            dtype = DTYPES[(dtypes or {}).get(name, "BF16")]
            words = base.integers(0x3C00, 0x3F00, size=shape).astype(f"<u{dtype.itemsize}")
            if seed:
                words = words + (changes.random(shape) < 0.3).astype(words.dtype)
            begin = len(data)
            data += words.tobytes()
            entries[name] = (dtype, tuple(shape), begin, len(data))
        return encode_header(entries) + data

    def trio(self) -> Path:
        """A base and two sub-models, and a recipe that merges them; returns the recipe."""
        for seed, name in enumerate(("base", "a", "b")):
            self.model(name, seed=seed)
        return self.recipe()

    def recipe(
        self,
        text: str | bytes | None = None,
        *,
        models: Sequence[str] = ("a", "b"),
        base: str = "base",
        extra: str = "",
        name: str = "recipe.yaml",
    ) -> Path:
        """A recipe file with `text`, or with the models and the lines that are given."""
        if text is None:
            lines = [
                "merge_method: parameter_selection",
                f"base_model: {json.dumps(base, ensure_ascii=False)}",
                "models:",
            ]
            lines += [f"- model: {json.dumps(model, ensure_ascii=False)}" for model in models]
            text = "\n".join(lines) + "\n" + extra
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def run(self, *arguments: object) -> Result:
        """Run one command in this process."""
        desktop = Desktop(lambda: False, lambda demo: 0, lambda record, folder: [])
        self._capsys.readouterr()
        status = main(desktop, [str(argument) for argument in arguments])
        said = self._capsys.readouterr()
        return Result(status, said.out, said.err)

    def refuse(self, *arguments: object) -> str:
        """Run a command that must be refused, and return its error and hint in one line.

        The refusal is one unwrapped error line and at most one hint on stderr, nothing on stdout, and
        no file or folder is changed, made or deleted.
        """
        before = self.snapshot()
        result = self.run(*arguments)
        assert result.status == 1, result
        assert result.stdout == ""
        assert re.fullmatch(r"error: [^\n]+\n(hint: [^\n]+\n)?", result.stderr), result.stderr
        assert "Traceback" not in result.stderr
        assert self.snapshot() == before
        return " ".join(result.stderr.split("\n"))

    def distrust(self, folder: Path) -> tuple[str, dict[str, Any]]:
        """Verify a folder that is not as it was written; return the error line and what was found.

        Every command says so with status 1, one error and one hint, and changes nothing.
        """
        before = self.snapshot()
        for arguments in (["verify", folder], ["verify", folder, "--json"]):
            result = self.run(*arguments)
            assert result.status == 1, result
            assert re.fullmatch(r"(100 %[^\n]+\n)?error: [^\n]+\nhint: [^\n]+\n", result.stderr), (
                result.stderr
            )
        assert self.snapshot() == before
        return result.error, json.loads(result.stdout)

    def snapshot(self) -> dict[str, bytes | None]:
        """Every file in the folder with its content; None for what is no file."""
        found = sorted(self.folder.rglob("*"))
        return {str(path): path.read_bytes() if path.is_file() else None for path in found}


@pytest.fixture
def workshop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workshop:
    """An empty folder with the means to fill it."""
    return Workshop(tmp_path, capsys)


@pytest.fixture(scope="session")
def mergekit() -> str:
    """The Python that has mergekit 0.1.5.

    Its environment is made once in the system's folder of temporary files; a Python that has it already is
    named in $PARAMOSAIC_MERGEKIT.
    """
    import torch

    if given := os.environ.get("PARAMOSAIC_MERGEKIT"):
        return given
    place = Path(tempfile.gettempdir()) / "paramosaic-mergekit-0.1.5"
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not (place / "done").exists():
        venv.create(place, with_pip=True)
        packages = ["mergekit==0.1.5", f"torch=={torch.__version__.partition('+')[0]}"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        (place / "done").touch()
    return str(python)
