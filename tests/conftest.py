"""What all tests share: how hypothesis behaves."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

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
