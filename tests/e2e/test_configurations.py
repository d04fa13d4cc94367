"""Several machines at once, simulated: each configuration of the guides, watched operation by operation.

Every machine runs the unchanged daemon as its service and is told what to do through its control API. The watches see
only what the volumes did.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.control.client import ControlClient
from bodydouble.errors import FileSystemError
from bodydouble.replication import feed as feed_module
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, RemoveFile, Rename, Truncate, Write
from bodydouble.vocabulary.records import AcceptRequest, ConnectRequest, OfferRequest, ReplicationSet, Rule
from bodydouble.vocabulary.transmission import TransmissionOptions, TransmissionSchedule, Window
from bodydouble_labs.history import History
from bodydouble_labs.providers.sim_host import SimHost
from bodydouble_labs.providers.sim_order import OrderWatch, SourceStates
from bodydouble_labs.scenario.network import HostSpec
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.frames import TCP
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble.vocabulary.records import ConnectionStatus

ROOT = "C:/data"
DATA = ReplicationSet(name="data", rules=[Rule(path=ROOT)])
PATIENCE = 3600.0
"""Virtual seconds."""


class Box:
    """One machine with the product, and what was watched on it."""

    def __init__(self, lab: Lab, name: str, number: int) -> None:
        self.name = name
        self.ip = f"10.0.0.{number}"
        drives = {"C": Drive(file_system="ntfs"), "D": lab.drive}
        machine = WindowsMachine(lab.world, name, drives)
        spec = HostSpec(role="server", computer_name=name, address=f"{self.ip}/24")
        machine.plug(lab.segment, [f"{self.ip}/24"])
        self.host = SimHost(name, spec, machine)
        self.machine = machine
        self.random = random.Random(name)
        self.written = 0

    def talk(self) -> ControlClient:
        control = self.host.control
        return ControlClient(self.ip, control.port, control.token, control.certificate)

    # --- what applications do ---

    def do(self, operation: AnyOperation) -> None:
        self.machine.volumes[operation.path[0]].apply([operation], bypass_filter=False)

    def mkdir(self, path: str) -> None:
        self.do(MakeDirectory(path, Metadata()))

    async def work(self, root: str, seconds: float, gap: float = 0.05) -> None:
        """An application: records appended, files saved by way of another name, some removed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            self._step(root)
            await asyncio.sleep(gap * self.random.uniform(0.2, 1.8))

    def _step(self, root: str) -> None:
        self.written += 1
        now = int(self.machine.clock())
        name, spare = f"{root}/f{self.random.randrange(12)}", f"{root}/spare"
        data = self.random.randbytes(self.random.choice([40, 700, 9000]))
        steps: list[list[AnyOperation]] = [
            [
                CreateFile(spare, Metadata(), now),
                Write(spare, 0, data, now),
                Rename(spare, name),
            ],
            [CreateFile(name, Metadata(), now), Write(name, self.random.randrange(2000), data, now)],
            [Truncate(name, 10, now)],
            [RemoveFile(name)],
            [MakeDirectory(f"{root}/d{self.random.randrange(3)}", Metadata())],
            [Rename(name, f"{root}/d{self.random.randrange(3)}/g{self.random.randrange(4)}")],
        ]
        for operation in self.random.choices(steps, [6, 6, 1, 1, 1, 2])[0]:
            try:
                if not isinstance(operation, CreateFile) or self.machine.volumes["C"].stat(operation.path) is None:
                    self.do(operation)
            except FileSystemError:
                return

    def picture(self, root: str) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        volume = self.machine.volumes[root[0]]
        stack = [root] if volume.stat(root) is not None else []
        while stack:
            for entry in volume.list(stack.pop()):
                content = None if entry.directory else volume.read(entry.path)
                tree[entry.path[len(root) :]] = (content, entry.metadata, 0 if entry.directory else entry.mtime_ns)
                stack += [entry.path] if entry.directory else []
        return tree


class Lab:
    """A segment with machines, and a console on it."""

    def __init__(self, names: str, seed: int = 1, drive: Drive | None = None) -> None:
        self.drive = drive or Drive(file_system="ntfs")
        self.world = World(seed)
        self.segment = self.world.network.segment("lan")
        self.boxes = {name: Box(self, name, number) for number, name in enumerate(names, 10)}
        self.console = Machine(self.world, "CONSOLE")
        self.console.plug(self.segment, "10.0.0.9/24")
        self.watches: list[History] = []
        self._states: dict[tuple[str, str], SourceStates] = {}
        self.payloads: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._tap()

    def _tap(self) -> None:
        """Count the bytes of TCP on the wire, by sender and second."""
        transmit = self.segment.transmit

        def counted(sender: Any, life: Any, frame: Any) -> None:
            if frame[0] == TCP and frame[6] == 6320:
                self.payloads[frame[3], int(self.world.loop.time())] += len(frame[-1])
            transmit(sender, life, frame)

        setattr(self.segment, "transmit", counted)  # noqa: B010 - a tap on this one segment

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def everything() -> None:
            self.console.power_on()
            for box in self.boxes.values():
                box.machine.power_on()
            for box in self.boxes.values():
                await box.machine.wait_booted()
                await box.host.install_bodydouble()
            await self.console.spawn(self._pair(), name="console")
            await self.console.spawn(main(), name="console")

        try:
            self.world.run(everything())
        finally:
            self.world.close()

    # --- the operator ---

    async def _pair(self) -> None:
        """Each machine with each other one, as an operator pairs them."""
        for one, other in combinations(self.boxes.values(), 2):
            async with one.talk() as offering, other.talk() as accepting:
                offer = await offering.offer_pairing(OfferRequest())
                await accepting.accept_pairing(AcceptRequest(host=one.ip, code=offer.code))

    async def connect(self, source: str, target: str, replication_set: ReplicationSet = DATA, **fields: Any) -> int:
        box = self.boxes[source]
        self.states(source, replication_set.rules[0].path)
        async with box.talk() as client:
            await client.save_set(replication_set)
            target_ip = self.boxes[target].ip
            request = ConnectRequest(replication_set=replication_set.name, target=target_ip, **fields)
            return (await client.connect(request)).id

    async def status(self, source: str, id_: int = 1) -> ConnectionStatus:
        async with self.boxes[source].talk() as client:
            return next(each for each in await client.connections() if each.id == id_)

    async def until(self, source: str, condition: Callable[[ConnectionStatus], bool], id_: int = 1) -> ConnectionStatus:
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await self.status(source, id_)
                if condition(status):
                    return status
                await asyncio.sleep(0.5)

    async def settled(self, *edges: tuple[str, int]) -> None:
        """Everything that was written went all the way; looked at twice, because what is applied goes on."""
        for _ in range(2):
            for source, id_ in edges:
                await self.until(source, _is_settled, id_)

    # --- the watches ---

    def states(self, source: str, root: str = ROOT) -> SourceStates:
        """What the source's directory was like, from the first moment that somebody asked."""
        found = self._states.get((source, root))
        if found is None:
            found = self._states[source, root] = SourceStates(self.boxes[source].host.witnesses[root[0]], root)
        return found

    @asynccontextmanager
    async def watched(self, source: str, target: str, root: str = ROOT, place: str = "") -> AsyncIterator[History]:
        """Compare each state of the replica with those that the source had."""
        history = History()
        witness = self.boxes[target].host.witnesses[(place or root)[0]]
        elapsed = self.world.loop.time
        watch = OrderWatch(self.states(source, root), witness, history, elapsed, lambda: False, place=place)
        self.watches.append(history)
        yield history
        watch.stop()

    def check(self, *, at_least: int = 50) -> None:
        """No watch saw a state that its source never had, and each saw many."""
        for history in self.watches:
            assert [each.detail for each in history.order_violations] == []
            assert history.order_checked > at_least


def _is_settled(status: ConnectionStatus) -> bool:
    return status.state == "replicating" and not status.queue_operations and status.applied == status.generated


def lab_with_data(names: str, drive: Drive | None = None) -> Lab:
    lab = Lab(names, drive=drive)
    for box in lab.boxes.values():
        box.mkdir(ROOT)
    return lab


def seed_files(box: Box, count: int = 8) -> None:
    for number in range(count):
        box.machine.put_file(f"{ROOT}/seed-{number}", box.random.randbytes(3000 * number))


def test_many_to_one_with_one_set_name_and_a_directory_each() -> None:
    lab = lab_with_data("ABT")

    async def main() -> None:
        for name in "AB":
            seed_files(lab.boxes[name])
            await lab.connect(name, "T", base=f"D:/replicas/{name}")
        await lab.settled(("A", 1), ("B", 1))
        places = {name: f"D:/replicas/{name}/C/data" for name in "AB"}
        async with lab.watched("A", "T", place=places["A"]), lab.watched("B", "T", place=places["B"]):
            await asyncio.gather(*(lab.boxes[name].work(ROOT, 20) for name in "AB"))
            await lab.settled(("A", 1), ("B", 1))
        for name in "AB":
            assert lab.boxes[name].picture(ROOT) == lab.boxes["T"].picture(places[name])
        lab.check()

    lab.run(main)


def test_one_to_many_with_a_target_that_is_slow() -> None:
    lab = lab_with_data("STU")

    async def main() -> None:
        source, slow = lab.boxes["S"], lab.boxes["U"]
        seed_files(source)
        await lab.connect("S", "T")
        await lab.connect("S", "U")
        await lab.settled(("S", 1), ("S", 2))
        slow.machine.volumes["C"].disk.slowness = 60.0
        async with lab.watched("S", "T"), lab.watched("S", "U"):
            await source.work(ROOT, 20)
            near, far = await lab.status("S", 1), await lab.status("S", 2)
            assert near.generated - near.applied < far.generated - far.applied
            await lab.settled(("S", 1), ("S", 2))
        assert source.picture(ROOT) == lab.boxes["T"].picture(ROOT) == slow.picture(ROOT)
        lab.check()

    lab.run(main)


def chain(lab: Lab) -> None:
    """A to B to C, while B's disk is slow and B mirrors again in the middle."""

    async def main() -> None:
        first, second, third = (lab.boxes[name] for name in "ABC")
        seed_files(first)
        lab.states("B")
        await lab.connect("B", "C", orphans="delete")
        await lab.connect("A", "B", orphans="delete")
        await lab.settled(("A", 1), ("B", 1))
        async with lab.watched("A", "B"), lab.watched("B", "C"), lab.watched("A", "C"):
            await first.work(ROOT, 20)
            await lab.settled(("A", 1), ("B", 1))
        second.machine.volumes["C"].disk.slowness = 10.0
        async with second.talk() as client:
            working = asyncio.create_task(first.work(ROOT, 15), name="work")
            await client.mirror(1)
            await working
        await lab.settled(("A", 1), ("B", 1))
        assert first.picture(ROOT) == second.picture(ROOT) == third.picture(ROOT)
        async with lab.watched("A", "B"), lab.watched("B", "C"), lab.watched("A", "C"):
            await first.work(ROOT, 5)
            await lab.settled(("A", 1), ("B", 1))
        lab.check(at_least=30)

    lab.run(main)


def test_a_chain_keeps_the_order_from_each_machine_to_the_next_and_from_the_first_to_the_last() -> None:
    chain(lab_with_data("ABC"))


def test_a_feed_that_offers_out_of_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: what was carried out is offered in the reverse order."""
    original = feed_module._offer

    def reversed_(done: Any, sizes: Any, listeners: Any) -> None:
        for operation in reversed(done):
            original([operation], sizes, listeners)

    monkeypatch.setattr(feed_module, "_offer", reversed_)
    with pytest.raises((AssertionError, TimeoutError)):
        chain(lab_with_data("ABC"))


def test_both_directions_at_once_with_different_sets() -> None:
    lab = lab_with_data("AB")
    other = ReplicationSet(name="other", rules=[Rule(path="C:/other")])
    for box in lab.boxes.values():
        box.mkdir("C:/other")

    async def main() -> None:
        one, two = lab.boxes["A"], lab.boxes["B"]
        await lab.connect("A", "B")
        await lab.connect("B", "A", other)
        await lab.settled(("A", 1), ("B", 1))
        async with lab.watched("A", "B"), lab.watched("B", "A", root="C:/other"):
            await asyncio.gather(one.work(ROOT, 20), two.work("C:/other", 20))
            await lab.settled(("A", 1), ("B", 1))
        assert one.picture(ROOT) == two.picture(ROOT)
        assert one.picture("C:/other") == two.picture("C:/other")
        lab.check()

    lab.run(main)


def test_a_loop_is_refused_and_the_rest_of_the_ring_goes_on() -> None:
    lab = lab_with_data("ABC")

    async def main() -> None:
        await lab.connect("A", "B")
        await lab.connect("B", "C")
        await lab.settled(("A", 1), ("B", 1))
        await lab.connect("C", "A")
        refused = await lab.until("C", lambda status: status.state == "error")
        assert "a loop" in refused.detail
        async with lab.watched("A", "B"), lab.watched("B", "C"):
            await lab.boxes["A"].work(ROOT, 20)
            await lab.settled(("A", 1), ("B", 1))
        pictures = [box.picture(ROOT) for box in lab.boxes.values()]
        assert pictures[0] == pictures[1] == pictures[2]
        lab.check()

    lab.run(main)


def test_one_machine_alone_on_another_drive() -> None:
    lab = lab_with_data("A")

    async def main() -> None:
        box = lab.boxes["A"]
        seed_files(box)
        await lab.connect("A", "A", mapping=[PathMapping("C:/data", "D:/copy/data")])
        await lab.settled(("A", 1))
        async with lab.watched("A", "A", place="D:/copy/data"):
            await box.work(ROOT, 20)
            await lab.settled(("A", 1))
        assert box.picture(ROOT) == box.picture("D:/copy/data")
        lab.check()

    lab.run(main)


def test_a_chain_goes_on_after_a_power_loss_in_its_middle() -> None:
    lab = lab_with_data("ABC")

    async def main() -> None:
        first, second, third = (lab.boxes[name] for name in "ABC")
        seed_files(first)
        await lab.connect("B", "C", orphans="delete")
        await lab.connect("A", "B", orphans="delete")
        await lab.settled(("A", 1), ("B", 1))
        working = asyncio.create_task(first.work(ROOT, 60), name="work")
        await asyncio.sleep(10)
        await second.host.power_off()
        await asyncio.sleep(20)
        await second.host.power_on()
        await working
        await lab.settled(("A", 1), ("B", 1))
        assert first.picture(ROOT) == second.picture(ROOT) == third.picture(ROOT)

    lab.run(main)


# --- transmission ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [20_000, 200_000])
def test_a_limit_holds_on_the_wire_for_mirror_and_replication_and_starves_nothing(limit: int) -> None:
    lab = lab_with_data("AB")

    async def main() -> None:
        box = lab.boxes["A"]
        seed_files(box, 20)  # 570,000 bytes
        began = int(lab.world.loop.time())
        await lab.connect("A", "B", transmission=TransmissionOptions(bandwidth=limit))
        await box.work(ROOT, 30, gap=0.5)
        await lab.settled(("A", 1))
        counted = {second: size for (sender, second), size in lab.payloads.items() if sender == box.ip}
        assert max(counted.values()) <= limit * 1.27
        whole = [counted.get(second, 0) for second in range(began + 1, began + 500_000 // limit)]
        assert sum(whole) > 0.7 * limit * len(whole)
        assert box.picture(ROOT) == lab.boxes["B"].picture(ROOT)
        async with box.talk() as client:
            texts = [event.text for event in await client.events()]
            assert not any("silent" in text or "reconnect" in text for text in texts)
            before = sum(counted.values())
            await client.set_transmission(1, TransmissionOptions())
            box.machine.put_file(f"{ROOT}/large", box.random.randbytes(2_000_000))
            await lab.settled(("A", 1))
        counted = {second: size for (sender, second), size in lab.payloads.items() if sender == box.ip}
        assert sum(counted.values()) - before > 2_000_000
        assert max(counted.values()) > 3 * limit

    lab.run(main)


def test_a_window_is_kept_over_a_clock_that_is_set_to_and_fro() -> None:
    """The world begins at nine in the morning; the window is open from ten to eleven."""
    lab = lab_with_data("AB")
    window = TransmissionSchedule(windows=[Window(begin="10:00", end="11:00")])

    async def main() -> None:
        box = lab.boxes["A"]
        clock = box.machine.clock
        start = clock.now().replace(hour=9, minute=0, second=0, microsecond=0)
        clock.set(start)
        await lab.connect("A", "B", transmission=TransmissionOptions(schedule=window))
        status = await lab.until("A", lambda seen: seen.state == "mirroring")
        assert (status.transmission, status.transmission_next) == ("scheduled", start + timedelta(hours=1))
        clock.set(start + timedelta(hours=1, minutes=5))
        await asyncio.sleep(31)
        await lab.settled(("A", 1))
        clock.set(start + timedelta(minutes=30))
        await asyncio.sleep(31)
        seed_files(box, 3)
        await asyncio.sleep(600)
        assert (await lab.status("A")).queue_operations > 0
        assert lab.boxes["B"].picture(ROOT) == {}
        await asyncio.sleep(1200)  # the window opens for the second time on this day, as the calendar now has it
        await lab.settled(("A", 1))
        assert box.picture(ROOT) == lab.boxes["B"].picture(ROOT)

    lab.run(main)


def test_one_seed_gives_one_trace_with_limits_compression_and_chains() -> None:
    def digest() -> str:
        lab = lab_with_data("ABC")

        async def main() -> None:
            options = TransmissionOptions(bandwidth=100_000, compression=3)
            await lab.connect("B", "C", transmission=options)
            await lab.connect("A", "B", transmission=options)
            await lab.boxes["A"].work(ROOT, 10)
            await lab.settled(("A", 1), ("B", 1))

        lab.run(main)
        return lab.world.trace.digest

    assert digest() == digest()
