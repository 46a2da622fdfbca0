"""How much memory may be taken: what the machine has, and what control groups leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import cores, memory


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group of this process; the machine has 9 GB."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       99 kB\nMemAvailable:    9000000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    monkeypatch.setattr(cores, "_OWN_GROUPS", own)
    monkeypatch.setattr(cores, "_CGROUP", tmp_path)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    return inner


def _limit(group: Path, most: str, taken: int, cached: int) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{taken}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\nactive_file 7\n")


def test_without_limits_it_is_what_the_machine_has(group: Path) -> None:
    assert memory.available_bytes() == 9_000_000 * 1024
    _limit(group, "max", 1000, 10)
    assert memory.available_bytes() == 9_000_000 * 1024


def test_the_tightest_of_the_groups_around_it_counts_and_cached_files_do_not(group: Path) -> None:
    _limit(group, "5000", 1000, 10)
    assert memory.available_bytes() == 4010
    _limit(group.parent, "3000", 2000, 500)
    assert memory.available_bytes() == 1500
    _limit(group.parent, "3000", 4000, 0)
    assert memory.available_bytes() == 0


def test_groups_of_the_first_version(group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").write_text("3:cpu,cpuacct:/x\n7:memory:/c\n")
    place = tmp_path / "memory" / "c"
    place.mkdir(parents=True)
    (place / "memory.limit_in_bytes").write_text("2000")
    (place / "memory.usage_in_bytes").write_text("1500")
    (place / "memory.stat").write_text("total_inactive_file 20\n")
    assert memory.available_bytes() == 520
