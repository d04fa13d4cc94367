"""SetHome: where a machine's replication sets live, from their creation to their deletion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError, PathError
from bodydouble.replication.calculation import Calculation
from bodydouble.replication.rules import Selection, check_set
from bodydouble.replication.tasks import cancel
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ReplicationSet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from bodydouble.replication.context import Context
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.sets import Explanation, SetSize

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

MAX_SETS = 1000
_NOT_IN_A_NAME = frozenset("/\\")


class SetUser(Protocol):
    """A connection of a set."""

    def renew(self, why: str) -> None:
        """Begin again with a mirror by the set as it is now."""

    def keep(self, earlier: ReplicationSet) -> None:
        """Go on by the rules of ``earlier`` until somebody mirrors."""


class SetList(msgspec.Struct, frozen=True):
    """The saved replication sets."""

    sets: list[ReplicationSet]


class SetHome:
    """The saved sets. What was changed is durable once a method returns; a failed save changes nothing.

    Args:
        context: the daemon's surroundings.
        store: where the sets are kept.
        users: the connections of a set, by its name.
        spawn: runs calculations.
    """

    def __init__(
        self, context: Context, store: StateStore, users: Callable[[str], Sequence[SetUser]], spawn: Spawn
    ) -> None:
        self._context = context
        self._store = store
        self._users = users
        self._spawn = spawn
        self._sets: dict[str, ReplicationSet] = {}
        self._lock = asyncio.Lock()
        self._calculations: dict[str, tuple[Calculation, asyncio.Task[None]]] = {}

    async def load(self) -> None:
        """Take in what was saved.

        Raises:
            StateError: it cannot be understood.
        """
        stored = await self._store.load("replication-sets", SetList)
        self._sets = {} if stored is None else {each.name: each for each in stored.sets}

    def sets(self) -> list[ReplicationSet]:
        """All saved sets, in the order in which they were first saved."""
        return list(self._sets.values())

    def find(self, name: str) -> ReplicationSet:
        """A set by its name.

        Raises:
            InputError: there is no such set.
        """
        found = self._sets.get(name)
        if found is None:
            raise InputError(f"there is no replication set {name!r}: save it first")
        return found

    # --- life ---

    async def save(
        self, replication_set: ReplicationSet, *, new: bool = False, remirror: bool = True
    ) -> ReplicationSet:
        """Save a set under its name.

        Args:
            replication_set: paths may be written as on either platform.
            new: refuse to replace another one.
            remirror: connections that use it mirror again when it changed; otherwise they go on by the earlier rules,
                say that the set was changed, and take it in with their next mirror.

        Raises:
            InputError: the set is not one that can be replicated.
            ConnectionStateError: with ``new``, there is one of that name.
            FileSystemError: the volume refused.
        """
        normal = normalised(replication_set)
        check_set(normal)
        _check_name(normal.name)
        async with self._lock:
            earlier = self._sets.get(normal.name)
            if new and earlier is not None:
                taken = f"there is a replication set {normal.name!r} already"
                raise ConnectionStateError(f"{taken}: choose another name, or replace that one (--replace, or save)")
            if earlier == normal:
                return normal
            if earlier is None and len(self._sets) >= MAX_SETS:
                raise InputError(f"there are {MAX_SETS} replication sets: delete one first")
            await self._keep({**self._sets, normal.name: normal})
        if earlier is not None:
            self._changed(earlier, remirror=remirror)
        return normal

    async def copy(self, name: str, new_name: str) -> ReplicationSet:
        """Save the rules of a set under another name as well.

        Raises:
            InputError: there is no such set, or no set can have the new name.
            ConnectionStateError: the new name is taken.
        """
        return await self.save(ReplicationSet(name=new_name, rules=self.find(name).rules), new=True)

    async def rename(self, name: str, new_name: str) -> ReplicationSet:
        """Give a set another name; it stays where it is in the list.

        Raises:
            InputError: there is no such set, or no set can have the new name.
            ConnectionStateError: the new name is taken, or a connection uses the set.
        """
        renamed = ReplicationSet(name=new_name, rules=self.find(name).rules)
        check_set(renamed)
        _check_name(new_name)
        async with self._lock:
            self.find(name)
            if new_name in self._sets:
                raise ConnectionStateError(f"there is a replication set {new_name!r} already: delete it first")
            self._refuse_connected(name, "targets know its replica by that name; disconnect it first, or copy it")
            kept = [renamed if each.name == name else each for each in self._sets.values()]
            await self._keep({each.name: each for each in kept})
        self._abandon(name, "the set was renamed")
        return renamed

    async def delete(self, name: str) -> None:
        """Forget a set.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: a connection uses it.
        """
        async with self._lock:
            self.find(name)
            self._refuse_connected(name, "disconnect it first, or order it to be disconnected")
            await self._keep({key: each for key, each in self._sets.items() if key != name})
        self._abandon(name, "the set was deleted")

    async def _keep(self, sets: dict[str, ReplicationSet]) -> None:
        """These are the sets from now on; nobody connects meanwhile what goes."""
        earlier, self._sets = self._sets, sets
        try:
            await self._store.save("replication-sets", SetList(list(sets.values())))
        except FileSystemError:
            self._sets = earlier
            raise

    def _refuse_connected(self, name: str, remedy: str) -> None:
        if self._users(name):
            raise ConnectionStateError(f"replication set {name!r} is connected: {remedy}")

    def _changed(self, earlier: ReplicationSet, *, remirror: bool) -> None:
        name = earlier.name
        self._abandon(name, "the set was changed")
        users = self._users(name)
        for user in users:
            if remirror:
                user.renew("the replication set was changed")
            else:
                user.keep(earlier)
        if users:
            what = "its connections mirror again" if remirror else "mirror its connections to take the change in"
            self._context.events.record(EventCode.SET_CHANGED, f"{name}: the replication set was changed; {what}")

    # --- what a set says ---

    def selection(self, name: str) -> Selection:
        """A set's rules, made ready for this machine.

        Raises:
            InputError: there is no such set.
        """
        case_sensitive = self._context.host.file_system.case_sensitive
        return Selection(self.find(name), case_sensitive=case_sensitive, protected=self._context.protected)

    def explain(self, name: str, path: str) -> Explanation:
        """Which rule of a set decides about a path.

        Raises:
            InputError: there is no such set, or the path is none.
        """
        try:
            return self.selection(name).explain(paths.normalise(path))
        except PathError as error:
            raise InputError(f"explain: {error}") from error

    def calculate(self, name: str) -> SetSize:
        """Begin to calculate how large a set is; one that was calculated before is calculated anew.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: it is being calculated, or the service does not run.
        """
        found, selection = self.find(name), self.selection(name)
        if name in self._calculations and not self._calculations[name][1].done():
            raise ConnectionStateError(f"replication set {name!r} is being calculated: wait, or cancel it")
        host = self._context.host
        calculation = Calculation(host.file_system, found, selection, host.clock.now())
        task = self._spawn(calculation.run(), f"bodydouble-calculation-{name}")
        self._calculations[name] = (calculation, task)
        return calculation.size

    def size(self, name: str) -> SetSize:
        """How far the latest calculation of a set is.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: it was not calculated since it was saved, or since the daemon started.
        """
        self.find(name)
        if name not in self._calculations:
            raise ConnectionStateError(f"replication set {name!r} was not calculated yet: calculate it first")
        return self._calculations[name][0].size

    async def cancel(self, name: str) -> SetSize:
        """Calculate no further; what was counted so far stays to be seen.

        Raises:
            InputError: there is no such set.
            ConnectionStateError: it is not being calculated.
        """
        self.find(name)
        calculation, task = self._calculations.get(name, (None, None))
        if calculation is None or task is None or task.done():
            raise ConnectionStateError(f"replication set {name!r} is not being calculated")
        await cancel(task)
        calculation.end("cancelled")
        return calculation.size

    def _abandon(self, name: str, why: str) -> None:
        """What was calculated, or is being, is about a set that is no more."""
        calculation, task = self._calculations.pop(name, (None, None))
        if calculation is not None and task is not None:
            task.cancel()
            calculation.end("failed", why)

    async def close(self) -> None:
        """Calculate nothing any more."""
        await cancel(*(task for _, task in self._calculations.values()))


def _check_name(name: str) -> None:
    """Raises InputError: a name that the command line and the control API could not say."""
    if not name.isprintable() or set(name) & _NOT_IN_A_NAME or name != name.strip() or name in (".", ".."):
        raise InputError(
            f"replication set {name!r}: a name has printable characters, no slash or backslash, and no space at its "
            "ends; choose another one"
        )


def normalised(replication_set: ReplicationSet) -> ReplicationSet:
    """The set with its paths in product form.

    Raises:
        InputError: a path that cannot be.
    """
    try:
        rules = [msgspec.structs.replace(rule, path=paths.normalise(rule.path)) for rule in replication_set.rules]
    except PathError as error:
        raise InputError(f"replication set {replication_set.name!r}: {error}") from error
    return ReplicationSet(name=replication_set.name, rules=rules)
