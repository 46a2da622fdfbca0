"""Merges single tensors with mergekit, in the Python that has it: mergekit_methods.py FOLDER

FOLDER/cases.json says what: for each case its name, method, models, whether there is a base, parameters, the
type in which it is computed, and the number of seeds of torch's generator (0 for none).
FOLDER/MODEL/model.safetensors are the inputs.
FOLDER/mergekit/NAME.safetensors has what came out, with one more dimension in front where there are seeds;
FOLDER/mergekit/failed.json what mergekit said of the tensors that it could not merge, by case and tensor.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


def merge(case: dict[str, Any], tensors: list[torch.Tensor]) -> torch.Tensor:
    from mergekit.merge_methods import merge_tensors

    result: torch.Tensor = merge_tensors(
        tensors,
        case["method"],
        base_index=0 if case["base"] else None,
        parameters=case["parameters"],
        dtype=getattr(torch, case["dtype"]),
        out_dtype=torch.bfloat16,
    )
    return result.contiguous()


def merge_case(
    case: dict[str, Any], inputs: dict[str, dict[str, torch.Tensor]]
) -> tuple[Any, dict[str, str]]:
    """What came out by the tensors' names, and what was said of those that failed."""
    merged, failed = {}, {}
    for name in inputs["base"]:
        if not name.startswith(case["tensors"]):
            continue
        tensors = [inputs[model][name] for model in (*(["base"] if case["base"] else []), *case["models"])]
        try:
            if case["seeds"]:
                results = []
                for seed in range(case["seeds"]):
                    torch.manual_seed(seed)
                    results.append(merge(case, tensors))
                merged[name] = torch.stack(results)
            else:
                merged[name] = merge(case, tensors).clone()
        except (ValueError, RuntimeError, IndexError) as error:
            failed[name] = str(error).partition("\n")[0]
    return merged, failed


def main() -> None:
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text())
    inputs = {path.parent.name: load_file(path) for path in folder.glob("*/model.safetensors")}
    (folder / "mergekit").mkdir()
    failed = {}
    for case in cases:
        merged, failed[case["name"]] = merge_case(case, inputs)
        save_file(merged, folder / "mergekit" / f"{case['name']}.safetensors")
    (folder / "mergekit" / "failed.json").write_text(json.dumps(failed))


if __name__ == "__main__":
    main()
