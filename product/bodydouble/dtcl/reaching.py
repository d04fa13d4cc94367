"""Commands about machines: ``source``, ``target``, ``login``, ``logout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.dtcl.machines import Login
from bodydouble.dtcl.session import carries_out
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call

MAX_PORT = 65_535


@carries_out("source")
async def source(session: Session, call: Call) -> None:
    """Orders to a source go there."""
    session.use_machine("source", call.needed().text())


@carries_out("target")
async def target(session: Session, call: Call) -> None:
    """Orders to a target go there."""
    session.use_machine("target", call.needed().text())


@carries_out("login")
async def login(session: Session, call: Call) -> None:
    """Take a token for a machine, and close what was opened with another one."""
    machine = call.needed().text()
    port, pin = call.option("port"), call.option("pin")
    token = await _token(session, call, machine)
    await session.machines.close(machine)
    wanted = Login(
        port=None if port is None else port.number(1, MAX_PORT),
        token=token,
        pin=None if pin is None else pin.text(),
    )
    session.machines.login(machine, wanted)


async def _token(session: Session, call: Call, machine: str) -> str:
    surroundings = session.surroundings
    if (file := call.option("token_file")) is not None:
        return surroundings.token_file(file.text())
    if (name := call.option("token_env")) is not None:
        found = surroundings.environment(name.text())
        if not found:
            raise InputError(f"the environment has no {name.text()!r}")
        return found
    if (token := call.option("token")) is not None:
        return token.text()
    asked = await surroundings.ask_token(machine)
    if not asked:
        raise InputError(
            f"no token for {machine!r}: say token file FILE, or token env NAME; nobody is there to type one"
        )
    return asked


@carries_out("logout")
async def logout(session: Session, call: Call) -> None:
    """Forget tokens."""
    machine = call.value()
    await session.machines.logout(None if machine is None else machine.text())
