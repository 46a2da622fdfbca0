"""Whether merges on a device give the CPU's bytes and counts, method by method.

    python tests/bench/check_device.py --device cuda

Prints a line for each merge, and ends with 1 where one differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from method_checks import edge_settings, make_models, model_numbers, recipe_data

from core import RecipeError, plan_merge, run_merge
from core.devices import choose_devices
from core.methods import METHODS
from core.recipe.parsing import parse_recipe
from core.table import runs_kernels


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    (device,) = choose_devices(options.device)
    print(f"{device.title}: kernels {'run' if runs_kernels(device.name) else 'DO NOT run'}", flush=True)
    wrong = 0 if runs_kernels(device.name) else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder, 4)
        number = 0
        for method in METHODS.values():
            for count in model_numbers(method):
                for values in edge_settings(method, count):
                    try:
                        plan = plan_merge(parse_recipe(recipe_data(method, count, values), folder))
                    except RecipeError:
                        continue
                    number += 1
                    started = time.perf_counter()
                    on_cpu = run_merge(plan, folder / f"cpu-{number}", device="cpu")
                    on_device = run_merge(plan, folder / f"device-{number}", device=options.device)
                    same = on_cpu.tensors == on_device.tensors
                    wrong += not same
                    seconds = time.perf_counter() - started
                    said = "same" if same else "DIFFERENT"
                    print(f"{said}  {method.name}, K = {count}, {values}  {seconds:.2f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
