"""Which cards there are, found without torch."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import cards, devices
from core.cards import Card, bus_bytes_per_s, listed_cards, torch_has_cuda

SEVERAL = [Card("NVIDIA H200", "GPU-aaa"), Card("NVIDIA H200", "GPU-bbb"), Card("NVIDIA H200", "GPU-ccc")]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any card, and without NVIDIA's library."""
    for name in ("_DRIVER", "_DEVICES", "_PCI"):
        monkeypatch.setattr(cards, name, tmp_path / name)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cards, "ctypes", Library(None))
    return tmp_path


class Library(SimpleNamespace):
    """In the place of ctypes: a library that knows `known`, or none."""

    def __init__(self, known: list[tuple[bytes, bytes, int, int]] | None, status: int = 0) -> None:
        super().__init__(**{name: getattr(ctypes, name) for name in ("c_uint", "c_void_p")})
        self.create_string_buffer, self.byref = ctypes.create_string_buffer, lambda value: value
        self.known, self.status, self.closed = known, status, 0

    def CDLL(self, _: str) -> Any:
        if self.known is None:
            raise OSError("cannot open shared object file")
        return SimpleNamespace(
            nvmlInit_v2=lambda: self.status,
            nvmlShutdown=self._shut_down,
            nvmlDeviceGetCount_v2=lambda count: self._set(count, len(self.known or [])),
            nvmlDeviceGetHandleByIndex_v2=lambda number, handle: self._set(handle, number + 1),
            nvmlDeviceGetName=lambda handle, to, _: self._set(to, self._of(handle)[0]),
            nvmlDeviceGetUUID=lambda handle, to, _: self._set(to, self._of(handle)[1]),
            nvmlDeviceGetMaxPcieLinkGeneration=lambda handle, to: self._set(to, self._of(handle)[2]),
            nvmlDeviceGetMaxPcieLinkWidth=lambda handle, to: self._set(to, self._of(handle)[3]),
        )

    def _of(self, handle: Any) -> tuple[bytes, bytes, int, int]:
        assert self.known is not None
        return self.known[handle.value - 1]

    def _set(self, to: Any, value: Any) -> int:
        to.value = value
        return 0

    def _shut_down(self) -> None:
        self.closed += 1


def add_card(machine: Path, address: str, minor: int, title: str = "NVIDIA H200", node: bool = True) -> None:
    """List a card as the Linux driver does."""
    folder = machine / "_DRIVER" / address
    folder.mkdir(parents=True)
    lines = [f"Model: \t\t {title}", "IRQ:   \t\t 55", f"GPU UUID: \t GPU-{minor}", "Bus Type: \t PCIe"]
    lines += [f"Bus Location: \t {address}", f"Device Minor: \t {minor}"]
    (folder / "information").write_text("\n".join(lines) + "\n")
    (machine / "_DEVICES").mkdir(exist_ok=True)
    if node:
        (machine / "_DEVICES" / f"nvidia{minor}").touch()


def link(folder: Path, speed: str, width: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "max_link_speed").write_text(f"{speed}\n")
    (folder / "max_link_width").write_text(f"{width}\n")


def test_a_machine_that_lists_none() -> None:
    assert listed_cards() is None


def test_what_the_driver_lists(machine: Path) -> None:
    add_card(machine, "0000:41:00.0", 1)
    add_card(machine, "0000:01:00.0", 0)
    assert listed_cards() == [Card("NVIDIA H200", "GPU-0"), Card("NVIDIA H200", "GPU-1")]


def test_another_container_s_card_is_none_of_ours(machine: Path) -> None:
    add_card(machine, "0000:01:00.0", 0, node=False)
    add_card(machine, "0000:41:00.0", 1)
    assert listed_cards() == [Card("NVIDIA H200", "GPU-1")]


def test_cards_that_differ_keep_their_titles_only_in_an_order_that_is_known(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_card(machine, "0000:01:00.0", 0, "NVIDIA T4")
    add_card(machine, "0000:41:00.0", 1)
    found = listed_cards()
    assert found is not None
    assert [card.title for card in found] == ["NVIDIA card", "NVIDIA card"]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    found = listed_cards()
    assert found is not None
    assert [card.title for card in found] == ["NVIDIA T4", "NVIDIA H200"]


def test_of_cards_that_differ_none_is_taken_for_the_one_with_the_faster_bus(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their addresses the old card comes first; CUDA's first may be either."""
    add_card(machine, "0000:01:00.0", 0, "NVIDIA T4")
    add_card(machine, "0000:41:00.0", 1)
    speeds = {"0000:01:00.0": 13e9, "0000:41:00.0": 55e9}
    monkeypatch.setattr(cards, "bus_bytes_per_s", speeds.get)
    assert listed_cards() == [Card("NVIDIA card"), Card("NVIDIA card")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,0")  # by its name it is known
    assert listed_cards() == [Card("NVIDIA H200", "GPU-1", 55e9), Card("NVIDIA card")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert listed_cards() == [Card("NVIDIA card")]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    speeds["0000:01:00.0"] = 55e9  # as fast as each other, they may come in any order
    assert listed_cards() == [Card("NVIDIA card", bus_bytes_per_s=55e9)] * 2
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [card.title for card in listed_cards() or []] == ["NVIDIA T4", "NVIDIA H200"]


@pytest.mark.parametrize(
    "content", ["", "Model", ":\n::\n", "Model: Unknown\nDevice Minor: none", "Device Minor: ²"]
)
def test_a_listing_that_makes_no_sense_is_still_a_card(machine: Path, content: str) -> None:
    folder = machine / "_DRIVER" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(content)
    assert listed_cards() == [Card("NVIDIA card")]


def test_what_the_library_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library([(b"NVIDIA H200", b"GPU-aaa", 5, 16), (b"NVIDIA H200", b"GPU-bbb", 99, 16)])
    monkeypatch.setattr(cards, "ctypes", library)
    found = listed_cards()
    assert found is not None
    assert [card.uuid for card in found] == ["GPU-aaa", "GPU-bbb"]
    assert found[0].bus_bytes_per_s == pytest.approx(55e9, rel=0.01)
    assert found[1].bus_bytes_per_s is None
    assert library.closed == 1


def test_a_library_that_does_not_work_lists_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "ctypes", Library([(b"NVIDIA H200", b"GPU-aaa", 5, 16)], status=9))
    assert listed_cards() is None


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (None, ["GPU-aaa", "GPU-bbb", "GPU-ccc"]),
        ("", []),
        ("-1", []),
        ("2,0", ["GPU-ccc", "GPU-aaa"]),
        ("1, 7, 0", ["GPU-bbb"]),
        ("GPU-b", ["GPU-bbb"]),
        ("GPU-zzz", []),
        ("MIG-GPU-aaa/1/0", [""]),
        ("9" * 5000, []),
        ("²", []),
    ],
)
def test_cuda_s_own_variable_hides_cards(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, left: list[str]
) -> None:
    monkeypatch.setattr(cards, "_of_driver", lambda: list(SEVERAL))
    if asked is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    found = listed_cards()
    assert found is not None
    assert [card.uuid for card in found] == left


@pytest.mark.parametrize(
    ("card", "port", "expected"),
    [
        (("32.0 GT/s PCIe", "16"), None, 55e9),
        (("16.0 GT/s PCIe", "16"), ("8.0 GT/s PCIe", "16"), 13.7e9),
        (("5.0 GT/s PCIe", "8"), ("8.0 GT/s PCIe", "16"), 3.5e9),
        (("Unknown", "16"), None, None),
        (("16.0 GT/s PCIe", "0"), None, None),
        (("16.0 GT/s PCIe", "255"), None, None),
    ],
)
def test_the_bus(
    machine: Path, card: tuple[str, str], port: tuple[str, str] | None, expected: float | None
) -> None:
    place = machine / "pci0000:00" / "0000:00:01.0"
    link(place / "0000:01:00.0", *card)
    if port is not None:
        link(place, *port)
    (machine / "_PCI").mkdir()
    (machine / "_PCI" / "0000:01:00.0").symlink_to(place / "0000:01:00.0")
    found = bus_bytes_per_s("0000:01:00.0")
    assert found == (None if expected is None else pytest.approx(expected, rel=0.01))
    assert bus_bytes_per_s("") is None
    assert bus_bytes_per_s("0000:99:00.0") is None


@pytest.mark.parametrize(
    ("file", "built"),
    [
        ("libtorch_cuda.so", True),
        ("torch_cuda.dll", True),
        ("libtorch_hip.so", True),
        ("libtorch_cpu.so", False),
    ],
)
def test_what_torch_was_built_for_is_known_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, built: bool
) -> None:
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "lib" / file).touch()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert torch_has_cuda() is built
    monkeypatch.setattr(sys, "path", [])
    assert not torch_has_cuda()


class TestKnownDevices:
    """What a plan counts on."""

    @pytest.fixture(autouse=True)
    def first_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "_known", {})
        monkeypatch.setattr(devices, "_given_up", {})
        monkeypatch.setattr(devices, "may_have_cuda", lambda: True)
        monkeypatch.setattr(devices, "torch_has_cuda", lambda: True)
        monkeypatch.setattr(devices, "listed_cards", lambda: list(SEVERAL[:2]))

    @staticmethod
    def names() -> list[str] | None:
        known = devices.known_devices()
        return None if known is None else [device.name for device in known]

    def test_what_the_system_lists(self) -> None:
        assert self.names() == ["cuda:0", "cuda:1"]

    @pytest.mark.parametrize("missing", ["may_have_cuda", "torch_has_cuda"])
    def test_none_where_torch_could_use_none(self, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        monkeypatch.setattr(devices, missing, lambda: False)
        assert self.names() == []

    def test_nothing_is_known_where_the_system_lists_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "listed_cards", lambda: None)
        assert self.names() is None

    def test_what_torch_found_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.names() == ["cuda:0", "cuda:1"]
        for name, found in self._found().items():
            monkeypatch.setattr(devices, name, lambda found=found: found)
        assert [device.name for device in devices.usable_devices()] == ["cuda:0", "mps"]
        assert self.names() == ["cuda:0", "mps"]

    def test_what_was_given_up_is_none(self) -> None:
        devices.give_up(["cuda:0"])
        assert self.names() == ["cuda:1"]
        assert devices.given_up() == ["cuda:0"]

    def test_what_was_given_up_counts_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        devices.give_up(["cuda:0"])
        later = devices.time.monotonic() + 3600
        monkeypatch.setattr(devices, "time", SimpleNamespace(monotonic=lambda: later))
        assert self.names() == ["cuda:0", "cuda:1"]
        assert devices.given_up() == []

    def test_what_was_given_up_counts_again_once_it_was_looked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devices.give_up(["cuda:0"])
        for name, found in self._found().items():
            monkeypatch.setattr(devices, name, lambda found=found: found)
        devices.usable_devices()
        assert self.names() == ["cuda:0", "mps"]

    @staticmethod
    def _found() -> Mapping[str, list[devices.Device]]:
        return {
            "_cuda_devices": [devices.Device("cuda:0", "Card", "cuda", 2, 1)],
            "_xpu_devices": [],
            "_mps_devices": [devices.Device("mps", "Apple GPU", "mps")],
        }
