"""What all tests share: the oracle as an importable module, and how hypothesis behaves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings


def _import_oracle() -> None:
    """Make `import oracle` work in every test, though tests are no package and not on sys.path."""
    path = Path(__file__).parent / "core" / "oracle.py"
    spec = importlib.util.spec_from_file_location("oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["oracle"] = module
    spec.loader.exec_module(module)


if "oracle" not in sys.modules:
    _import_oracle()

# The same examples in every run, and no deadline: a first example pays for numba's compilation.
# `pytest --hypothesis-profile=explore` looks at new examples each time.
settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("explore", settings.get_profile("fixed"), derandomize=False, max_examples=500)
settings.load_profile("fixed")
