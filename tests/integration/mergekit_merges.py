"""Merges recipes with mergekit, in the Python that has it: mergekit_merges.py FOLDER

Each FOLDER/NAME.yaml becomes FOLDER/mergekit/NAME; several documents go through mergekit-multimerge.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml


def merge(path: Path, out: Path) -> None:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    documents = list(yaml.safe_load_all(path.read_text()))
    if len(documents) > 1:
        from mergekit.scripts.multimerge import main as multimerge

        between = out.with_name(f"{out.name}-between")
        command = [str(path), "--out-path", str(out), "-I", str(between), "--no-copy-tokenizer"]
        multimerge.main(command, standalone_mode=False)
        return
    options = MergeOptions(copy_tokenizer=False, write_model_card=False)
    run_merge(MergeConfiguration.model_validate(documents[0]), str(out), options)


def main() -> None:
    folder = Path(sys.argv[1])
    for path in sorted(folder.glob("*.yaml")):
        merge(path, folder / "mergekit" / path.stem)


if __name__ == "__main__":
    main()
