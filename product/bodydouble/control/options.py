"""The control API's operations on options of a daemon that runs, and on the daemon itself.

An option that is set holds until the daemon is started again; its configuration file says what it starts with. What
cannot change without opening ports, queues or directories anew can only be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import get, post, put
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.options import DaemonOption, OptionValue

if TYPE_CHECKING:
    from bodydouble.vocabulary.options import OptionData

OptionName = Annotated[str, msgspec.Meta(description="name of an option")]

CHANGEABLE = (
    "retry_interval", "slow_retry_interval", "connect_timeout", "ping_interval", "queue_alert_percent", "queue_full",
    "max_sessions", "settle_interval", "shares_interval", "target_queue_bytes", "queue_floor_bytes",
)  # fmt: skip
"""What is read anew each time that it is needed: the next attempt, the next alert, the next full queue."""


@get("options")
async def options(backends: Backends) -> list[DaemonOption]:
    """The settings of replication that are in force."""
    return [_option(name, backends.replication.context.settings) for name in ReplicationSettings.__struct_fields__]


@put("options/{name}")
async def set_option(backends: Backends, name: OptionName, body: OptionValue) -> DaemonOption:
    """Change an option until the daemon is started again."""
    context = backends.replication.context
    if name not in ReplicationSettings.__struct_fields__:
        raise not_found(f"no option {name!r}")
    if name not in CHANGEABLE:
        raise ConnectionStateError(f"{name} cannot be changed while the daemon runs: change its configuration, restart")
    value = _read(name, body.value, context.settings)
    context.settings = msgspec.structs.replace(context.settings, **{name: value})
    backends.events.record(EventCode.OPTION_CHANGED, f"{name} is {body.value} now, until the daemon is started again")
    return _option(name, context.settings)


@post("shutdown")
async def shutdown(backends: Backends) -> None:
    """End the daemon in good order; answers before that is done."""
    backends.events.record(EventCode.SHUTDOWN_ORDERED, "an operator ordered the daemon to end")
    backends.shutdown()


def _option(name: str, settings: ReplicationSettings) -> DaemonOption:
    return DaemonOption(name, getattr(settings, name), name in CHANGEABLE)


def _read(name: str, text: str, settings: ReplicationSettings) -> OptionData:
    """The value that a text means for an option.

    Raises:
        InputError: it does not fit.
    """
    wanted = {**msgspec.to_builtins(settings), name: None if text.lower() == "none" else text}
    try:
        read: OptionData = getattr(msgspec.convert(wanted, ReplicationSettings, strict=False), name)
    except msgspec.ValidationError as error:
        raise InputError(f"option {name}: {text!r} does not fit: {error}") from error
    return read
