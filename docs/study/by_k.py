"""What fewer sub-models would have done: the studies of the first 2, 4, … of K, in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def recipe_of_the_first(k: int, n: int, recipe: Path, out: Path) -> None:
    """The recipe of `recipe`'s first k models and n, beside it: its paths are relative to where it lies."""
    data = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    data["models"], data["parameters"] = data["models"][:k], {"resamples": n}
    out.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")


def table_by_k(studies: Mapping[int, Path]) -> str:
    """Markdown: a row for each K, losses as means over seeds.

    Args:
        studies: the folder of the study of each K; that of the largest has the table of all rows.
    """
    documents = {
        k: json.loads((folder / "study.json").read_text(encoding="utf-8")) for k, folder in studies.items()
    }
    n = _largest_n(documents[max(documents)])
    merged = f"selection + n = {n}"
    lines = [
        f"| K | as in the base, n = 0 | n = {n} | single | average | selection | {merged} | verdict |",
        "|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for k, document in sorted(documents.items()):
        rows = {row["key"]: row for row in document["rows"]}
        left = document["advice"]["left"]
        losses = (
            rows[key]["loss"]["mean"] for key in ("single", "average", "selection-n0", f"selection-n{n}")
        )
        shares = (f"{100 * left[one]:.1f} %" for one in (0, n))
        cells = [str(k), *shares, *(f"{loss:.4f}" for loss in losses)]
        lines.append(f"| {' | '.join(cells)} | {rows[f'selection-n{n}']['comparison']['verdict']} |")
    measured = documents[max(documents)]
    return "\n".join(lines) + (
        f"\n\nThe first K orders of the same training; losses: {measured['unit']}, means over "
        f"{measured['n_samples']:,} rows; the verdict is that on {merged}, beside the median of these K "
        "single models.\n"
    )


def _largest_n(document: Mapping[str, Any]) -> int:
    keys = (row["key"] for row in document["rows"])
    return max(int(key.removeprefix("selection-n")) for key in keys if key.startswith("selection-n"))
