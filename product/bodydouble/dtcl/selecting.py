"""Commands about replication sets. Rules are collected in a set in use; the source has them once it is saved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble.dtcl import session as session_module
from bodydouble.dtcl.session import Draft, carries_out
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call, Given
    from bodydouble.vocabulary.sets import SetSize


@carries_out("repset_create")
async def create(session: Session, call: Call) -> ReplicationSet:
    """Begin a set; nothing is sent."""
    name = call.needed().text()
    if name in [each.name for each in await (await session.source()).sets()]:
        raise InputError(f"the source has a set {name!r} already: repset use, or another name")
    return _use(session, Draft(ReplicationSet(name=name, rules=[]), saved=False))


@carries_out("repset_use")
async def use(session: Session, call: Call) -> ReplicationSet:
    """Fetch a set and use it; one that is in use stays as it is."""
    name = call.needed().text()
    return _use(session, session.sets.get(name) or Draft(await (await session.source()).find_set(name), saved=True))


@carries_out("repset_recover")
async def recover(session: Session, call: Call) -> ReplicationSet:
    """Take a set from whoever holds a replica of it."""
    name, source, holder = call.needed().text(), call.option("of"), call.option("from")
    assert source is not None, "the grammar requires it"
    client = await session.machines.client("target" if holder is None else holder.text())
    for each in await client.restorable():
        if (each.original_source.casefold(), each.replication_set.name) == (source.text().casefold(), name):
            return _use(session, Draft(each.replication_set, saved=False))
    raise InputError(f"the target holds no replica {name!r} of {source.text()!r}")


def _use(session: Session, draft: Draft) -> ReplicationSet:
    session.used_set = draft.set.name
    session.sets[draft.set.name] = draft
    return draft.set


async def _in_use(session: Session, call: Call, named: Given | None) -> Draft:
    """The set that is named, or the one in use.

    Raises:
        InputError: neither.
        ControlError: the source has none of that name.
    """
    name = call.of_this(named, session.used_set, "replication set")
    if name not in session.sets:
        session.sets[name] = Draft(await (await session.source()).find_set(name), saved=True)
    return session.sets[name]


@carries_out("repset_rule_add")
async def add_rule(session: Session, call: Call) -> ReplicationSet:
    """Add a rule; one of the same path and kind is replaced."""
    draft = await _in_use(session, call, call.option("to"))
    rule = Rule(path=call.needed().path(), include=not call.has("exclude"), recursive=not call.has("nonrecursive"))
    others = [each for each in draft.set.rules if (each.path, each.include) != (rule.path, rule.include)]
    return _changed(session, draft, [*others, rule])


@carries_out("repset_rule_remove")
async def remove_rule(session: Session, call: Call) -> ReplicationSet:
    """Remove the rules of a path."""
    draft = await _in_use(session, call, call.option("from"))
    path = call.needed().path()
    kept = [rule for rule in draft.set.rules if not _is_meant(rule, path, call)]
    if len(kept) == len(draft.set.rules):
        raise InputError(f"{draft.set.name!r} has no such rule of {path}")
    return _changed(session, draft, kept)


def _is_meant(rule: Rule, path: str, call: Call) -> bool:
    include = rule.include if call.has("include") else not rule.include if call.has("exclude") else True
    recursive = rule.recursive if call.has("recursive") else not rule.recursive if call.has("nonrecursive") else True
    return rule.path == path and include and recursive


def _changed(session: Session, draft: Draft, rules: list[Rule]) -> ReplicationSet:
    changed = Draft(msgspec.structs.replace(draft.set, rules=rules), saved=False)
    session.sets[draft.set.name] = changed
    return changed.set


@carries_out("repset_save")
async def save(session: Session, call: Call) -> ReplicationSet:
    """Save the set in use."""
    draft = await _in_use(session, call, None)
    name = call.option("as")
    wanted = draft.set if name is None else msgspec.structs.replace(draft.set, name=name.text())
    saved = await (await session.source()).save_set(
        wanted, new=name is not None, remirror=not call.has("without_remirror")
    )
    return _use(session, Draft(saved, saved=True))


@carries_out("repset_display")
async def display(session: Session, call: Call) -> ReplicationSet | list[ReplicationSet]:
    """One set, or all."""
    name = call.value()
    if name is None:
        return await (await session.source()).sets()
    draft = session.sets.get(name.text())
    return await (await session.source()).find_set(name.text()) if draft is None else draft.set


@carries_out("repset_calc")
async def calculate(session: Session, call: Call) -> SetSize:
    """Calculate, and wait."""
    name = call.of_this(call.value(), session.used_set, "replication set")
    check_saved(session, name)
    client = await session.source()
    size = await client.calculate_set(name)
    while size.state == "running":
        await asyncio.sleep(session_module.POLL)
        size = await client.set_size(name)
    if size.state != "complete":
        raise ConnectionStateError(f"the calculation is {size.state}: {size.detail or 'somebody cancelled it'}")
    return size


@carries_out("repset_copy")
async def copy(session: Session, call: Call) -> ReplicationSet:
    """Copy a set that the source has."""
    name, new = _renaming(session, call)
    return await (await session.source()).copy_set(name, new)


@carries_out("repset_rename")
async def rename(session: Session, call: Call) -> ReplicationSet:
    """Rename a set that the source has."""
    name, new = _renaming(session, call)
    renamed = await (await session.source()).rename_set(name, new)
    session.sets.pop(name, None)
    if session.used_set == name:
        _use(session, Draft(renamed, saved=True))
    return renamed


def _renaming(session: Session, call: Call) -> tuple[str, str]:
    name, new = call.needed().text(), call.option("to")
    assert new is not None, "the grammar requires it"
    check_saved(session, name)
    return name, new.text()


@carries_out("repset_delete")
async def delete(session: Session, call: Call) -> None:
    """Delete a set; one that was never saved is only forgotten."""
    name = call.needed().text()
    draft = session.sets.get(name)
    client = await session.source()
    if draft is None or draft.saved or name in [each.name for each in await client.sets()]:
        await client.delete_set(name, disconnect=call.has("disconnect_"))
    session.sets.pop(name, None)
    if session.used_set == name:
        session.used_set = ""


def check_saved(session: Session, name: str) -> None:
    """The source has what is in use here.

    Raises:
        InputError: it was changed since it was saved.
    """
    draft = session.sets.get(name)
    if draft is not None and not draft.saved:
        raise InputError(f"{name!r} was changed and not saved: repset save")
