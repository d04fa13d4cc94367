"""The ports: all that the product asks of the host it runs on. Everything else is plain asyncio.

A host body (Linux adapters, the simulated Windows) implements these thirteen protocols; `Host` carries one of each.
Tests in ``tests/conformance`` hold every implementation to the text below. Paths are in product form (see
`bodydouble.vocabulary.operations`). No method blocks the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from bodydouble.vocabulary.applications import ApplicationDirectory
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.inventory import HostFacts
    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble.vocabulary.records import HostIdentity, ScriptResult, ServiceStatus
    from bodydouble.vocabulary.shares import Share
    from bodydouble.vocabulary.standing_in import NameChange

    Sink = Callable[[AnyOperation], None]
    Lost = Callable[[str], None]


class FileSystem(Protocol):
    """The host's volumes, read and written by the product itself.

    A path means what has exactly these names, in any case where the system ignores it. Another way to the same file (an
    8.3 alias, a stream, a device) is not there: ``not_found``, or ``denied``.
    """

    @property
    def case_sensitive(self) -> bool:
        """Whether two names that differ only in case are two files on the host's own kind of volume.

        What another kind of volume does say its `capabilities`.
        """

    async def list_directory(self, path: str) -> list[Entry]:
        """Entries directly inside a directory, sorted by name; symbolic links show themselves and are not followed.

        Raises:
            FileSystemError: ``not_found`` (also when ``path`` is a file), ``denied``, ``io``.
        """

    async def stat(self, path: str) -> Entry | None:
        """The entry at ``path``, or None when nothing is there. No symbolic link is followed, neither on the way."""

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """Up to ``size`` bytes from ``offset`` of a file, or of a named stream of it; shorter only at the end.

        Raises:
            FileSystemError: ``not_found``, ``denied``, ``io``.
        """

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """The first run of bytes with space on the volume, from ``offset`` on: where it begins and ends.

        None when nothing but a hole, or nothing, follows. What lies between two runs reads as zeros. A volume without
        holes shows a file as one run to its end.

        Raises:
            FileSystemError: as `read`.
        """

    async def capabilities(self, path: str) -> Capabilities:
        """What the volume that holds ``path``, or will hold it, keeps of files."""

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """Carry out the operations in order; with ``durable`` they survive power loss once this returns.

        Changes made here are not reported by the same host's `FileFilter`. Operations before a failing one stay
        carried out. No symbolic link is followed: an operation on a path that leads through one fails.

        Raises:
            FileSystemError: the first operation that failed, with its path; later ones were not begun. ``done`` says
                how many before it were carried out; all of them when only making them durable failed.
        """

    async def flush(self, path: str) -> None:
        """Return once all that was applied before, at and beneath ``path`` and on its volume, survives power loss.

        Raises:
            FileSystemError: the volume could not write. What was applied without ``durable`` and not flushed since is
                in doubt from then on; flushing again proves nothing about it, carrying it out again does.
        """

    async def free_space(self, path: str) -> int:
        """Bytes still free on the volume that holds ``path``."""


class Attachment(Protocol):
    """A sink's hold on what reports to it."""

    def detach(self) -> None:
        """Report nothing more to the sink. Idempotent."""


class FilterAttachment(Attachment, Protocol):
    """A sink's hold on a `FileFilter`."""

    @property
    def position(self) -> int:
        """Up to where in the filter's records the sink was told; while it is called, the end of what it is told."""


class ResumedAttachment(FilterAttachment, Protocol):
    """Several sinks' hold, which are told of what happened earlier before they are told what happens now."""

    async def caught_up(self) -> None:
        """Tell the sinks of all that others were told of by now. From then on they are told what happens with those.

        Raises:
            FilterError: not everything is kept any more, with the reason; they are told of nothing more.
        """


class FileFilter(Protocol):
    """The filter driver: sees every change that applications make, in order, with its bytes.

    It may outlive this process, as a driver does. Then it keeps its latest records, whose positions are multiples of
    eight that only grow, and memory for notes about them: both as long as the host runs, at most.
    """

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> FilterAttachment:
        """Report every change at or beneath ``root`` to ``sink`` from now on.

        The sink is called on the event loop's thread, once for each operation, in the order in which the operations
        took effect on the volume and after each took effect, so that a read made by the sink's owner later sees it.
        When exactly, `settled` tells. The sink must return quickly and must not raise. A rename across the border of
        ``root`` is reported whole, and so are one that takes ``root`` away, or brings it, with a directory above it,
        and a hard link whose new name lies beneath ``root``. ``root`` need not exist yet.

        A change to a file that has several names is reported once for each of those beneath ``root``, one after the
        other: whoever follows only some of the names misses nothing, and doing it again changes nothing.

        No application waits for a sink. When changes came faster than they could be kept for it, or the filter ended,
        ``lost`` is called once, with the reason, and nothing more is reported to this sink: what the changes were only
        a look at the files tells.

        Raises:
            FilterError: ``root`` is not on a volume that the filter watches.
        """

    async def settled(self) -> None:
        """Return once every change whose effect could be seen when this was called has been reported (or is lost)."""

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> ResumedAttachment:
        """As `attach` for each root of ``sinks``, but for what has happened from ``position`` on.

        Args:
            position: of an earlier attachment, perhaps of an earlier process.
            sinks: by root; none is called before `ResumedAttachment.caught_up` is.
            lost: as for `attach`.

        Raises:
            FilterError: as `attach`.
        """

    def notes(self, name: str) -> memoryview | None:
        """Numbers of 64 bits, zeros at first, that last exactly as long as the records; then they are zeros again.

        The same name means the same memory. None: there is no room, or the filter keeps no records.
        """

    def keep_notes(self, names: Collection[str]) -> None:
        """Free the notes of all other names."""


class Identity(Protocol):
    """The host's names and addresses."""

    async def query(self) -> HostIdentity:
        """Primary (active) and permanent name, added names, and every address with its interface."""

    async def add_name(self, name: str, addresses: Sequence[str] = ()) -> None:
        """Answer for one more name on the network. Nothing happens when the host already does.

        Where the system can answer each name with addresses of its own, ``addresses`` (without prefix lengths) are this
        one's: a host that stands in for several sources has a name and an address of each.

        Raises:
            DuplicateIdentityError: another machine answers for it.
            IdentityError: the system refused.
        """

    async def name_in_use(self, name: str) -> bool:
        """Ask the wire (at most one second) whether another machine answers for ``name``.

        A name that nobody answered for is added sooner by an `add_name` that follows at once, where the system can.

        Raises:
            IdentityError: no name, or the system cannot ask.
        """

    async def remove_name(self, name: str) -> None:
        """Stop answering for an added name. Nothing happens when the host does not answer for it."""

    async def add_address(self, interface: str, address: str) -> None:
        """Add ``address`` (``10.0.0.10/24``) to ``interface`` until removed or the next boot.

        Idempotent; announces nothing.

        Raises:
            IdentityError: unknown interface, malformed address, the system refused.
        """

    async def remove_address(self, interface: str, address: str) -> None:
        """Remove an address; its connections die. Nothing happens when it is not there."""

    async def announce(self, interface: str, address: str) -> None:
        """Broadcast one gratuitous ARP for an address the host owns, so that neighbours learn the host's MAC."""

    async def in_use(self, interface: str, address: str) -> bool:
        """Ask the wire (ARP probe, at most one second) whether another machine answers for ``address``."""


class ActiveName(Protocol):
    """The name that the host runs under, as its services see it; what it answers to on the wire is another matter."""

    async def original(self) -> str | None:
        """The host's own name while it runs under another one, as said by `change`; None while it runs under it."""

    async def change(self, name: str) -> None:
        """Run under ``name`` at once, until `restore` or the next boot. The host's own name is kept durably first.

        Raises:
            InputError: no name that this host can have.
            IdentityError: the system refused.
        """

    async def restore(self) -> None:
        """Run under the host's own name again. Nothing happens when it does already.

        Raises:
            IdentityError: the system refused.
        """


class OwnName(Protocol):
    """Whether the host answers on the network for the name that is its own."""

    async def give_up(self, name: str) -> NameChange:
        """Answer for the own name no longer, until `take_back` or the next boot; ``name`` takes its place. Idempotent.

        Where the system can, it also runs under ``name`` from now on.

        Returns:
            What has to follow.

        Raises:
            IdentityError: the system refused.
        """

    async def take_back(self) -> NameChange:
        """Answer for the own name again. Nothing else happens when the host does already.

        Raises:
            DuplicateIdentityError: another machine answers for it.
            IdentityError: the system refused.
        """


class Services(Protocol):
    """The host's services, by short or display name."""

    async def query(self, name: str) -> ServiceStatus:
        """State and startup type.

        Raises:
            ServiceError: no such service.
        """

    async def start(self, name: str) -> None:
        """Start a service, dependencies first; returns when it runs. Nothing happens when it runs already.

        Raises:
            ServiceError: no such service, or it (or a dependency) did not start.
        """

    async def stop(self, name: str) -> None:
        """Stop a service, running dependents first; returns when it has stopped.

        Raises:
            ServiceError: no such service, or it did not stop.
        """


class Shares(Protocol):
    """The directories that the host's file server offers to the network, by name; names are the same in any case.

    Administrative shares (``C$``, ``ADMIN$``, ``IPC$``), and whatever else the system makes by itself, are not among
    them. Who may do what in a share is not said here: the host gives a new one what it gives to any, and the
    permissions of the files decide.
    """

    async def query(self) -> list[Share]:
        """All shares, in an order that stays the same.

        Raises:
            ShareError: the file server does not run, or does not say; what it shares is not known then.
        """

    async def add(self, share: Share) -> None:
        """Share a directory, durably: also after power loss and boot. Nothing happens when it is so already.

        Raises:
            DuplicateShareError: another directory is shared by that name; that share stays as it is.
            ShareError: no such directory, no name for a share, or the file server does not run.
        """

    async def remove(self, name: str) -> None:
        """Share a directory by that name no longer, durably; its files stay. Nothing happens when there is no share.

        Raises:
            ShareError: the share is the system's own, or the file server does not run.
        """


class Scripts(Protocol):
    """Runs an administrator's script files."""

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the script is killed, the caller is not cancelled
    ) -> ScriptResult:
        """Run the script to its end and return exit code and output.

        Args:
            path: the script file, in product form; its suffix selects the interpreter.
            arguments: passed as they are.
            environment: added to the host's own.
            timeout: seconds after which the script and its children are killed; the result then has
                ``timed_out`` set.

        Raises:
            ScriptError: the script cannot be run at all.
        """


class Pinger(Protocol):
    """ICMP echo."""

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - None is an answer here
        """Seconds until the echo reply came, or None when none came within ``timeout`` seconds.

        Raises:
            IdentityError: this host may not send echo requests; silence would accuse the source instead.
        """


class WallClock(Protocol):
    """The calendar; durations never come from here but from the event loop's clock."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""


class Entropy(Protocol):
    """Where secrets come from."""

    def random_bytes(self, size: int) -> bytes:
        """``size`` bytes that nobody can foresee: for keys and one-time codes, and for nothing else."""


class Applications(Protocol):
    """What the applications of this host keep where, as they are configured now."""

    async def directories(self) -> list[ApplicationDirectory]:
        """The directories that applications need to stand in with, in the order of their configuration.

        Raises:
            ServiceError: the configuration is there and cannot be read.
        """


class Inventory(Protocol):
    """What the host is, and what is installed on it."""

    async def facts(self) -> HostFacts:
        """The system, its role, services and applications, as they are now.

        Raises:
            ServiceError: something of it is there and cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Host:
    """One of each port: what a host body hands to the product.

    Without `Applications` where nobody knows of any; without `ActiveName` where the name cannot be changed; without
    `OwnName` where it cannot be given up; without `Inventory` where nobody can say what the host is; without `Shares`
    where no file server can be asked.
    """

    file_system: FileSystem
    file_filter: FileFilter
    identity: Identity
    services: Services
    scripts: Scripts
    pinger: Pinger
    clock: WallClock
    entropy: Entropy
    applications: Applications | None = None
    active_name: ActiveName | None = None
    own_name: OwnName | None = None
    inventory: Inventory | None = None
    shares: Shares | None = None
