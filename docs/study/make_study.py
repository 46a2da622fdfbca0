"""Make the studies of docs/study.md by the program's commands: base, data, K orders, merges, tables.

    python docs/study/make_study.py WORK                  sentences and demo
    python docs/study/make_study.py WORK --large          smollm2

What is finished in WORK is not done again, so that a study that was cut off goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bases
import by_k
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGING = ROOT / "packaging"
_MOST_FREQUENT = 160


@dataclass(frozen=True)
class Subject:
    """One study.

    Attributes:
        name: of its folder in docs/study.
        wheels: files of pinned wheels that it needs.
        base: makes the base model in a folder, from the folder of the wheels.
        data: makes train.jsonl and validation.jsonl in a folder, from the folder of the wheels.
        training: options of `paramosaic train`.
        ns: numbers of resamples, ascending.
        study: further options of `paramosaic study`.
        ks: of so many sub-models, too, the merges are made.
    """

    name: str
    wheels: tuple[str, ...]
    base: Callable[[Path, Path], None]
    data: Callable[[Path, Path], None]
    training: tuple[str, ...]
    ns: tuple[int, ...]
    study: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()


def docstrings(kind: str, train: int, validation: int) -> Callable[[Path, Path], None]:
    def make(wheels: Path, out: Path) -> None:
        sizes = ("--train", str(train), "--validation", str(validation))
        run(sys.executable, HERE / "docstrings.py", wheels / "study-data", out, "--kind", kind, *sizes)

    return make


def wheel(folder: Path) -> Path:
    (found,) = folder.glob("*.whl")
    return found


SENTENCES = Subject(
    "sentences",
    ("slow-tests", "study-data"),
    lambda wheels, out: bases.sentence_encoder(wheel(wheels / "slow-tests"), out),
    docstrings("label", 1600, 1000),
    ("--orders", "10", "--epochs", "2", "--batch", "32", "--lr", "5e-5", "--max-length", "64"),
    ns=(0, 1, 2, 4, 8),
    ks=(2, 5),
)
"""A sentence encoder with a new head learns which of eight packages a docstring is of."""

DEMO = Subject(
    "demo",
    (),
    lambda wheels, out: shutil.copytree(ROOT / "resources" / "demo" / "base", out) and None,
    lambda wheels, out: bases.library_topics(out),
    ("--orders", "8", "--epochs", "3", "--batch", "8", "--lr", "2e-5"),
    ns=(0, 1, 2, 4, 8),
    ks=(2, 4),
)
"""The demo language model learns Python's documentation of its library."""

SMOLLM2 = Subject(
    "smollm2",
    ("study-large", "study-data"),
    lambda wheels, out: bases.smollm2(wheel(wheels / "study-large"), out),
    docstrings("prompt", 960, 200),
    ("--orders", "4", "--epochs", "1", "--batch", "8", "--lr", "2e-5", "--max-length", "256"),
    ns=(0, 1, 2, 4),
    study=("--limit", "100", "--train-limit", "100"),
)
"""SmolLM2-135M-Instruct learns to write docstrings."""


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def paramosaic(*arguments: object) -> None:
    run(sys.executable, "-m", "gui.entry", *arguments)


def fetch(name: str, wheels: Path) -> None:
    """The wheels of packaging/NAME.txt, by their hashes."""
    if not (wheels / name).exists():
        partial = wheels / f"{name}.partial"
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
        run(*pip, "--no-deps", "--require-hashes", "-r", PACKAGING / f"{name}.txt", "-d", partial)
        partial.rename(wheels / name)


def once(out: Path, make: Callable[[Path], None]) -> None:
    """Make a folder that is not there; it appears when it is whole, so that a cut one is made again."""
    if not out.exists():
        unfinished = out.with_name(f"{out.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(out)


def make(subject: Subject, work: Path, wheels: Path) -> None:
    folder = work / subject.name
    folder.mkdir(parents=True, exist_ok=True)
    print(f"-- {subject.name}", flush=True)
    began = time.monotonic()
    for name in subject.wheels:
        fetch(name, wheels)
    base, data, runs, out = (folder / name for name in ("base", "data", "runs", "study"))
    once(base, lambda out: subject.base(wheels, out))
    once(data, lambda out: subject.data(wheels, out))
    train, validation = data / "train.jsonl", data / "validation.jsonl"
    keep = ("--keep", "all", "--also-float32")
    files = ("--data", train, "--validation", validation)
    paramosaic("train", base, *files, "--out", runs, *keep, *subject.training)
    trained_s = time.monotonic() - began
    floats = [part for folder in sorted(runs.glob("order-*/float32")) for part in ("--float32", folder)]
    ns = ",".join(map(str, subject.ns))
    paramosaic("study", runs / "recipe.yaml", *files, "--out", out, "--n", ns, *floats, *subject.study)
    studies = {len(list(runs.glob("order-*"))): out}
    for k in subject.ks:
        recipe, studies[k] = runs / f"recipe-of-{k}.yaml", folder / f"study-of-{k}"
        by_k.recipe_of_the_first(k, subject.ns[-1], runs / "recipe.yaml", recipe)
        plain = ("--n", f"{subject.ns[0]},{subject.ns[-1]}", "--no-soup", "--lambda", "1")
        paramosaic("study", recipe, "--validation", validation, "--out", studies[k], *plain)
    print(f"-- {subject.name}: {trained_s:.0f} s of training, {time.monotonic() - began:.0f} s in all")
    kept = HERE / subject.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in sorted(out.iterdir()):
        if path.suffix in (".md", ".csv"):
            shutil.copy(path, kept)
        elif path.suffix == ".png":
            save_smaller(path, kept / path.name)
    if subject.ks:
        (kept / "by-k.md").write_text(by_k.table_by_k(studies), encoding="utf-8")


def save_smaller(picture: Path, out: Path) -> None:
    """With 256 colours: a third of the bytes, and alike to look at.

    They are those that it has most of, and of the rarer ones those that are least like any of them: a mark
    in a colour of its own keeps it, however small it is.
    """
    drawn = QImage(str(picture)).convertToFormat(QImage.Format.Format_RGB32)
    colours, counts = np.unique(np.frombuffer(drawn.constBits(), np.uint32), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    channels = np.stack([(colours >> shift) & 255 for shift in (0, 8, 16)], axis=1).astype(np.int64)
    chosen = order[:_MOST_FREQUENT].tolist()
    distance = np.full(len(colours), np.iinfo(np.int64).max)
    for at in chosen:
        distance = np.minimum(distance, ((channels - channels[at]) ** 2).sum(axis=1))
    while len(chosen) < 256 and distance.any():
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((channels - channels[chosen[-1]]) ** 2).sum(axis=1))
    table = [int(colour) for colour in colours[chosen]]
    flags = Qt.ImageConversionFlag.ThresholdDither
    if not drawn.convertToFormat(QImage.Format.Format_Indexed8, table, flags).save(str(out), "PNG", 0):
        raise OSError(f"cannot write {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="a folder for models, some GB")
    parser.add_argument("--large", action="store_true", help="the study of SmolLM2-135M instead")
    given = parser.parse_args()
    work = given.work.absolute()
    os.environ["PARAMOSAIC_DATA_DIR"] = str(work / "data")
    wheels = work / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for subject in (SMOLLM2,) if given.large else (DEMO, SENTENCES):
        make(subject, work, wheels)


if __name__ == "__main__":
    main()
