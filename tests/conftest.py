"""What all tests share: how hypothesis behaves, and where the program keeps its own files meanwhile."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

# Read when torch is first imported. On the small tensors of tests several threads only wait for each other,
# where the machine is busy for many times as long as the work takes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged can be sent to another process, lone surrogates too."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither a test nor a process that it starts touches the history and the log of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield
