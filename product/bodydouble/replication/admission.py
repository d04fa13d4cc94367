"""What a paired machine may ask for: under which name, in which role, and where on this machine's volumes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, InputError, PathError
from bodydouble.replication.protocol import VERSION
from bodydouble.replication.rules import check_set
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bodydouble.replication.protocol import Hello
    from bodydouble.vocabulary.records import Peer

MAX_NAME = 255
MAX_STREAM = 2 * MAX_NAME
MAX_REPLICAS = 1000
MAX_REPLICAS_OF_ONE = 200


class SessionRefusedError(BodydoubleError):
    """A source gets no session.

    Attributes:
        permanent: trying again soon is pointless.
    """

    def __init__(self, detail: str, *, permanent: bool) -> None:
        super().__init__(detail)
        self.permanent = permanent


def check_hello(hello: Hello, peer: Peer) -> None:
    """Refuse what a machine may not ask for, whatever it is paired as, and what its role does not cover.

    Raises:
        SessionRefusedError: another version, a name that is not its own, a role that it has not, a set that cannot be.
    """
    if hello.version != VERSION:
        raise SessionRefusedError(f"protocol version {hello.version}, this side speaks {VERSION}", permanent=True)
    role = "target" if hello.purpose == "restore" else "source"
    if role not in peer.roles:
        raise SessionRefusedError(f"{peer.name} is not paired with this machine as a {role} of it", permanent=True)
    if hello.source.casefold() != peer.name.casefold():
        raise SessionRefusedError(
            f"{peer.name} called itself {hello.source[:MAX_NAME]!r}; a machine that was renamed has to be paired again",
            permanent=True,
        )
    if len(hello.stream) > MAX_STREAM:
        raise SessionRefusedError("the stream's name is too long", permanent=True)
    try:
        check_set(hello.replication_set)
    except (InputError, PathError) as error:
        raise SessionRefusedError(str(error), permanent=True) from error


def check_roots(targets: Sequence[str], accepted: Sequence[str] | None, key: Callable[[str], str]) -> None:
    """Refuse a set that reaches beyond what others may write to on this machine.

    Args:
        targets: where the set's roots would be on this machine.
        accepted: directories, see `ReplicationSettings.accepted_roots`.
        key: the form in which paths are compared here.

    Raises:
        SessionRefusedError: one of the set's roots lies beneath none of them.
    """
    if accepted is None:
        return
    beneath = [key(paths.normalise(root)) for root in accepted]
    for root in targets:
        if not any(paths.is_beneath(key(root), each) for each in beneath):
            raise SessionRefusedError(
                f"{root} is beneath none of the directories that this machine accepts (replication.accepted_roots)",
                permanent=True,
            )


def check_may_begin(pending: int, *, paused: bool) -> None:
    """Refuse a new stream that would drop what was acknowledged and an operator holds back.

    Args:
        pending: elements received and not applied.
        paused: an operator ordered that nothing is applied for now.

    Raises:
        SessionRefusedError: until the replica is resumed.
    """
    if paused and pending:
        what = f"it is paused, and {pending} operations received before wait to be applied"
        raise SessionRefusedError(f"no new mirror into this replica: {what}; resume it first", permanent=False)


def check_room(replicas: Collection[tuple[str, str]], key: tuple[str, str]) -> None:
    """Refuse one more replica when there are enough, of this source or at all.

    Args:
        replicas: sources and names of sets.
        key: those of the one more.

    Raises:
        SessionRefusedError: there are.
    """
    if len(replicas) >= MAX_REPLICAS or sum(source == key[0] for source, _ in replicas) >= MAX_REPLICAS_OF_ONE:
        raise SessionRefusedError(
            f"no more replicas are kept: {MAX_REPLICAS} at most, and {MAX_REPLICAS_OF_ONE} of one source",
            permanent=True,
        )
