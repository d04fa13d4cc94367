"""The registry: paths, types, hives, and what a power cut takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble_sim.windows.registry import LAZY_FLUSH, SELECT, SERVICES, Registry, RegistryError

if TYPE_CHECKING:
    from bodydouble_sim.windows.registry import Value

CLASSES = r"HKLM\SOFTWARE\Classes\.htm"
SECOND = 1_000_000_000


class Ticking:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def registry(clock: Ticking) -> Registry:
    return Registry(clock)


@pytest.mark.behaviour('Microsoft, "Predefined keys"')
def test_short_and_long_names_of_the_roots_are_the_same_keys(registry: Registry) -> None:
    registry.set(r"HKEY_LOCAL_MACHINE\SOFTWARE\Vendor", "Path", "C:\\V")
    assert registry.text(r"hklm\software\vendor", "PATH") == "C:\\V"


@pytest.mark.behaviour('Microsoft, "Predefined keys": HKEY_CLASSES_ROOT is SOFTWARE\\Classes')
def test_classes_root_is_a_link_into_the_software_hive(registry: Registry) -> None:
    registry.set(r"HKCR\.htm", "", "htmlfile")
    assert registry.text(CLASSES, "") == "htmlfile"
    assert registry.subkeys(r"HKEY_CLASSES_ROOT") == [".htm"]


@pytest.mark.behaviour('Microsoft, "Predefined keys": HKEY_CURRENT_CONFIG is the current hardware profile')
def test_current_config_is_a_link_into_the_control_set(registry: Registry) -> None:
    registry.set(r"HKCC\Software", "n", 1)
    assert registry.number(r"HKLM\SYSTEM\ControlSet001\Hardware Profiles\Current\Software", "n") == 1


@pytest.mark.behaviour('KB 102984, "ControlSet\\Select subkey"')
def test_the_current_control_set_is_the_one_that_select_names(registry: Registry) -> None:
    registry.set(rf"{SERVICES}\W3SVC", "Start", 2)
    assert registry.number(r"HKLM\SYSTEM\ControlSet001\Services\W3SVC", "Start") == 2
    registry.set(r"HKLM\SYSTEM\ControlSet002\Services\W3SVC", "Start", 4)
    registry.set(SELECT, "Default", 2)
    registry.boot()
    assert registry.number(rf"{SERVICES}\W3SVC", "Start") == 4


@pytest.mark.behaviour('KB 102984: LastKnownGood is "the last control set that successfully started the system"')
def test_a_bad_change_is_gone_after_a_boot_with_the_last_known_good_set(registry: Registry) -> None:
    registry.set(rf"{SERVICES}\W3SVC", "Start", 2)
    registry.accept_boot()
    registry.set(rf"{SERVICES}\W3SVC", "Start", 4)
    registry.boot()
    assert registry.revert()
    assert registry.number(rf"{SERVICES}\W3SVC", "Start") == 2
    assert registry.number(SELECT, "Failed") == 1


def test_without_a_good_boot_there_is_nothing_to_go_back_to(registry: Registry) -> None:
    assert not registry.revert()


@pytest.mark.behaviour('Microsoft, "Registry value types"')
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("REG_SZ", "text"),
        ("REG_EXPAND_SZ", r"%SystemRoot%\system32"),
        ("REG_MULTI_SZ", ["a", "b"]),
        ("REG_DWORD", 2**32 - 1),
        ("REG_BINARY", b"\x00\xff"),
    ],
)
def test_values_keep_their_type(registry: Registry, kind: Any, value: Value) -> None:
    registry.set(r"HKLM\SOFTWARE\T", "v", value, kind=kind)
    assert (registry.type_of(r"HKLM\SOFTWARE\T", "v"), registry.get(r"HKLM\SOFTWARE\T", "v")) == (kind, value)


@pytest.mark.parametrize(
    ("kind", "value"), [("REG_DWORD", 2**32), ("REG_DWORD", "1"), ("REG_SZ", 1), ("REG_BINARY", "00")]
)
def test_data_that_does_not_fit_its_type_is_refused(registry: Registry, kind: Any, value: Value) -> None:
    with pytest.raises(RegistryError, match="does not fit"):
        registry.set(r"HKLM\SOFTWARE\T", "v", value, kind=kind)


@pytest.mark.behaviour("Microsoft, RegCreateKeyEx: REG_OPTION_VOLATILE keys are not kept; error 1021")
def test_a_lasting_key_cannot_be_made_beneath_a_volatile_one(registry: Registry) -> None:
    registry.create(r"HKLM\SYSTEM\Volatile", volatile=True)
    with pytest.raises(RegistryError, match="1021"):
        registry.create(r"HKLM\SYSTEM\Volatile\Lasting")
    registry.create(r"HKLM\SYSTEM\Volatile\Below", volatile=True)
    registry.boot()
    assert not registry.exists(r"HKLM\SYSTEM\Volatile")


@pytest.mark.behaviour("Microsoft: HKLM\\HARDWARE is built at every boot")
def test_the_hardware_hive_is_volatile(registry: Registry) -> None:
    registry.set(r"HKLM\HARDWARE\DESCRIPTION", "Identifier", "AT/AT COMPATIBLE")
    registry.boot()
    assert not registry.exists(r"HKLM\HARDWARE")


@pytest.mark.behaviour("KB 2784761: changes that were not flushed are lost with the power")
def test_unflushed_registry_change_is_lost_at_power_loss(registry: Registry, clock: Ticking) -> None:
    registry.set(r"HKLM\SOFTWARE\V", "n", 1)
    registry.flush()
    registry.set(r"HKLM\SOFTWARE\V", "n", 2)
    clock.now += LAZY_FLUSH - 1
    assert registry.number(r"HKLM\SOFTWARE\V", "n") == 2
    registry.power_loss()
    assert registry.number(r"HKLM\SOFTWARE\V", "n") == 1


@pytest.mark.behaviour("Microsoft, RegFlushKey: the lazy flusher writes changes by itself")
def test_the_lazy_flusher_makes_a_change_durable_after_five_seconds(registry: Registry, clock: Ticking) -> None:
    registry.set(r"HKLM\SOFTWARE\V", "n", 2)
    clock.now += LAZY_FLUSH
    assert registry.power_loss() == 0
    assert registry.number(r"HKLM\SOFTWARE\V", "n") == 2


@pytest.mark.behaviour("Microsoft, RegFlushKey: writes all changes of the key's hive")
def test_reg_flush_key_makes_its_whole_hive_durable_and_no_other(registry: Registry) -> None:
    registry.set(r"HKLM\SOFTWARE\A", "n", 1)
    registry.set(r"HKLM\SOFTWARE\B", "n", 1)
    registry.set(r"HKLM\SYSTEM\C", "n", 1)
    registry.flush(r"HKLM\SOFTWARE\A")
    registry.power_loss()
    assert [registry.number(key, "n") for key in (r"HKLM\SOFTWARE\A", r"HKLM\SOFTWARE\B", r"HKLM\SYSTEM\C")] == [
        1,
        1,
        0,
    ]


def test_a_key_that_was_deleted_and_not_flushed_comes_back(registry: Registry) -> None:
    registry.set(r"HKLM\SOFTWARE\A\B", "n", 1)
    registry.flush()
    registry.delete(r"HKLM\SOFTWARE\A")
    assert registry.subkeys(r"HKLM\SOFTWARE") == []
    registry.power_loss()
    assert registry.number(r"HKLM\SOFTWARE\A\B", "n") == 1
    assert registry.subkeys(r"HKLM\SOFTWARE\A") == ["B"]


KEYS = [r"HKLM\SOFTWARE\A", r"HKLM\SOFTWARE\A\B", r"HKLM\SYSTEM\C", r"HKU\.DEFAULT\D"]
CHANGES = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(KEYS), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(0)),
    st.tuples(st.just("unset"), st.sampled_from(KEYS), st.just(0)),
    st.tuples(st.just("flush"), st.sampled_from([*KEYS, ""]), st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 7)),
    st.tuples(st.just("power_loss"), st.just(""), st.just(0)),
)


def hive(path: str) -> str:
    return "\\".join(path.split("\\")[:2]).upper()


class Pair:
    """The registry, and a model of it: keys in memory and on the disk, hive by hive."""

    def __init__(self) -> None:
        self.clock = Ticking()
        self.registry = Registry(self.clock)
        self.now: dict[str, int | None] = {}
        self.disk: dict[str, int | None] = {}
        self.since: dict[str, int] = {}

    def write_back(self, which: str) -> None:
        if self.since.pop(which, None) is not None:
            self.disk = {path: value for path, value in self.disk.items() if hive(path) != which}
            self.disk.update({path: value for path, value in self.now.items() if hive(path) == which})

    def settle(self) -> None:
        for which in [name for name, since in self.since.items() if self.clock.now - since >= LAZY_FLUSH]:
            self.write_back(which)

    def touch(self, path: str) -> None:
        self.settle()
        self.since.setdefault(hive(path), self.clock.now)

    def set(self, path: str, number: int) -> None:
        self.touch(path)
        if path == rf"{KEYS[0]}\B":
            self.now.setdefault(KEYS[0], None)  # its parent is made with it
        self.now[path] = number
        self.registry.set(path, "n", number)

    def delete(self, path: str, _: int) -> None:
        gone = [known for known in self.now if known == path or known.startswith(path + "\\")]
        for known in gone:
            self.touch(path)
            del self.now[known]
        self.registry.delete(path)

    def unset(self, path: str, _: int) -> None:
        if self.now.get(path) is not None:
            self.touch(path)
            self.now[path] = None
        self.registry.delete_value(path, "n")

    def flush(self, path: str, _: int) -> None:
        for which in [hive(path)] if path else list(self.since):
            self.write_back(which)
        self.registry.flush(path)

    def wait(self, _: str, seconds: int) -> None:
        self.clock.now += seconds * SECOND

    def power_loss(self, _: str, __: int) -> None:
        self.settle()
        self.since.clear()
        self.now = dict(self.disk)
        self.registry.power_loss()


@given(st.lists(CHANGES, max_size=40))
def test_a_power_cut_leaves_each_hive_as_it_was_last_written(changes: list[tuple[str, str, int]]) -> None:
    pair = Pair()
    for what, path, number in changes:
        getattr(pair, what)(path, number)
        for known in KEYS:
            assert pair.registry.exists(known) == (known in pair.now)
            assert pair.registry.get(known, "n") == pair.now.get(known)


@given(st.dictionaries(st.sampled_from(KEYS), st.one_of(st.binary(max_size=4), st.integers(0, 9), st.text(max_size=4))))
def test_a_dump_read_back_is_the_same_registry(values: dict[str, Value]) -> None:
    registry, copy = Registry(), Registry()
    for path, value in values.items():
        registry.set(path, "v", value)
    copy.load(registry.dump())
    assert copy.dump() == registry.dump()
    assert {path: copy.get(path, "v") for path in values} == values


def test_a_dump_with_binary_data_that_is_none_is_refused() -> None:
    with pytest.raises(RegistryError, match="hexadecimal"):
        Registry().load({r"HKLM\SOFTWARE\A": {"v": ("REG_BINARY", "xyz")}})


def test_binary_values_survive_as_they_are(registry: Registry) -> None:
    registry.set(r"HKLM\SOFTWARE\A", "v", b"\x01\x02")
    assert registry.dump() == {r"HKLM\SOFTWARE": {}, r"HKLM\SOFTWARE\A": {"v": ("REG_BINARY", "0102")}}
