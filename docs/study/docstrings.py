"""Docstrings of published packages as data: which package a docstring is of, and what a function's says.

They are read from wheels as they lie on PyPI (packaging/study-data.txt names them, with hashes), never
imported. Train and validation data come from different files of the packages, so that nothing of a file is
in both; a row's `group` is its file, since docstrings of one file resemble one another.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from zipfile import ZipFile

SHORTEST, LONGEST = 40, 400  # characters of a docstring's first paragraph


@dataclass(frozen=True)
class Docstring:
    """The first paragraph of one docstring.

    Attributes:
        package: as its wheel is called.
        file: the module's path in the wheel.
        signature: "def name(arguments):", without annotations.
        text: on one line.
    """

    package: str
    file: str
    signature: str
    text: str


def docstrings(wheel: Path) -> Iterator[Docstring]:
    """Those of all public functions and methods in a wheel, in the order of its files."""
    package = wheel.name.split("-")[0]
    with ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".py") or re.search(r"(^|/)(tests?|testing|_vendor)/|/test_", name):
                continue
            try:
                tree = ast.parse(archive.read(name))
            except (SyntaxError, ValueError):  # templates, and files for other versions of Python
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    text = first_paragraph(ast.get_docstring(node) or "")
                    if SHORTEST <= len(text) <= LONGEST and text.isascii() and "__" not in text:
                        arguments = ", ".join(argument.arg for argument in node.args.args)
                        yield Docstring(package, name, f"def {node.name}({arguments}):", text)


def first_paragraph(text: str) -> str:
    """On one line; none where it is not a sentence."""
    words = " ".join(text.split("\n\n")[0].split())
    return words if words[:1].isupper() and words.endswith(".") else ""


def place(text: str) -> int:
    """A number that orders texts by chance, the same everywhere."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=b"docstrings").digest(), "little")


def split(found: list[Docstring], counts: Mapping[str, int]) -> dict[str, list[Docstring]]:
    """Parts of `found` as large as `counts` says, equally many of each package, no file in two of them.

    One file in four is held out; a text that is there twice counts once.
    """
    seen: set[str] = set()
    by_package: dict[str, list[Docstring]] = {}
    for one in sorted(found, key=lambda one: place(one.file + one.signature + one.text)):
        if one.text not in seen:
            seen.add(one.text)
            by_package.setdefault(one.package, []).append(one)
    parts: dict[str, list[Docstring]] = {}
    for part, count in counts.items():
        share = count // len(by_package)
        for package, of_package in sorted(by_package.items()):
            fitting = [one for one in of_package if (place(one.file) % 4 == 0) == (part == "validation")]
            if len(fitting) < share:
                raise SystemExit(f"{package} has {len(fitting)} docstrings for {part}, not {share}")
            parts.setdefault(part, []).extend(fitting[:share])
        parts[part].sort(key=lambda one: place(one.text))
    return parts


def as_row(one: Docstring, kind: str) -> dict[str, str]:
    if kind == "label":
        return {"text": one.text, "label": one.package, "group": one.file}
    return {"prompt": f'{one.signature}\n    """', "response": f'{one.text}"""', "group": one.file}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("wheels", type=Path, help="the folder with the wheels")
    parser.add_argument("out", type=Path, help="the folder for train.jsonl and validation.jsonl")
    parser.add_argument("--kind", choices=("label", "prompt"), required=True)
    parser.add_argument("--train", type=int, required=True, help="rows")
    parser.add_argument("--validation", type=int, required=True, help="rows")
    given = parser.parse_args()
    found = [one for wheel in sorted(given.wheels.glob("*.whl")) for one in docstrings(wheel)]
    given.out.mkdir(parents=True, exist_ok=True)
    for part, rows in split(found, {"train": given.train, "validation": given.validation}).items():
        lines = [json.dumps(as_row(one, given.kind)) for one in rows]
        (given.out / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{part}: {len(rows):,} rows of {len({one.file for one in rows}):,} files")


if __name__ == "__main__":
    main()
