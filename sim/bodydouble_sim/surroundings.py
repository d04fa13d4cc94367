"""What code finds around it during a run, where it reaches past its ports: clocks, entropy, names, signals, threads.

The product takes all of these from its ports. Libraries do not: websockets masks frames with ``secrets``, uvicorn dates
responses by ``time`` and holds signals, Starlette hands files to anyio's threads. This is the backstop: while a world
runs, what its own loop's code calls is served from the world; any other thread or loop sees the real thing.

Served: ``time.time``, ``time.monotonic`` (and ``_ns``), what else of ``time`` looks at the calendar when it is told no
time (``gmtime``, ``localtime``, ``ctime``, ``strftime``), ``os.urandom`` with all that draws from it (``secrets``,
``uuid4``, ``SystemRandom``), the functions of the module ``random``, ``socket.gethostname`` and ``getfqdn``,
``socket.socket`` (a socket of the machine, `network.sockets`), ``socket.getaddrinfo`` as far as it needs no question on
the wire, ``signal.signal`` (kept, never called), anyio's worker threads (inline). Refused: starting a thread, and what
makes sockets from descriptors. Beyond reach, since they are C types: ``datetime.now`` and an unseeded
``random.Random()``. ``time.perf_counter`` stays real, for measuring.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import os
import random
import signal
import socket
import sys
import time
from asyncio import events
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import OWNER
from bodydouble_sim.network.lookups import blocking_getaddrinfo, blocking_gethostbyname
from bodydouble_sim.network.sockets import MachineSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bodydouble_sim.world import World


class Surroundings:
    """The stand-ins of one world; `entered` puts them in place."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[tuple[str, int], Any] = {}
        self._module_random: Any = random.Random(f"{world.seed}:module random").getstate()  # noqa: S311 - a simulation

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Serve the code of the world's loop until the context is left."""
        with ExitStack() as stack:
            for place, name, stand_in in self._stand_ins():
                stack.enter_context(_replaced(place, name, self._only_inside(getattr(place, name), stand_in)))
            stack.enter_context(self._worker_threads_inline())
            stack.enter_context(self._sockets_of_machines())
            before = random.getstate()
            random.setstate(self._module_random)
            try:
                yield
            finally:
                self._module_random = random.getstate()
                random.setstate(before)

    def _stand_ins(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        loop, began = self._world.loop, self._world.start.timestamp()
        began_ns = int(began * 1_000_000) * 1_000
        return [
            (time, "time", lambda: began + loop.now / 1_000_000_000),
            (time, "time_ns", lambda: began_ns + loop.now),
            (time, "monotonic", loop.time),
            (time, "monotonic_ns", lambda: loop.now),
            *self._calendar(began),
            (os, "urandom", self._entropy),
            (random, "_urandom", self._entropy),  # SystemRandom's own reference, and so that of `secrets`
            (socket, "gethostname", self._name),
            (socket, "gethostbyaddr", self._no_reverse_name),
            (socket, "getaddrinfo", blocking_getaddrinfo),
            (socket, "gethostbyname", blocking_gethostbyname),
            (socket, "socketpair", partial(_refuse_descriptors, "socketpair")),
            (socket, "fromfd", partial(_refuse_descriptors, "fromfd")),
            (signal, "signal", self._keep_handler),
            (Thread, "start", self._refuse_thread),
        ]

    def _calendar(self, began: float) -> list[tuple[Any, str, Callable[..., Any]]]:
        """The calls of ``time`` that look at the clock by themselves when they are not told a time."""
        loop = self._world.loop

        def of_now(real: Callable[..., Any]) -> Callable[..., Any]:
            return lambda seconds=None: real(began + loop.now / 1_000_000_000 if seconds is None else seconds)

        strftime, localtime = time.strftime, of_now(time.localtime)
        stand_ins = [(time, name, of_now(getattr(time, name))) for name in ("gmtime", "localtime", "ctime")]
        return [*stand_ins, (time, "strftime", lambda form, when=None: strftime(form, when or localtime()))]

    def _only_inside(self, real: Callable[..., Any], stand_in: Callable[..., Any]) -> Callable[..., Any]:
        running, loop = events._get_running_loop, self._world.loop  # noqa: SLF001 - asyncio's own accessor

        def call(*args: Any, **named: Any) -> Any:
            return stand_in(*args, **named) if running() is loop else real(*args, **named)

        return call

    def _name(self) -> str:
        owner = OWNER.get(None)
        return "lab" if owner is None else owner.name

    def _no_reverse_name(self, address: str) -> Any:
        raise socket.herror(1, f"{address} has no name")

    def _entropy(self, size: int) -> bytes:
        """One stream a machine: what another one draws does not shift it."""
        return self._world.random(f"entropy:{self._name()}").randbytes(size)

    def _keep_handler(self, number: int, handler: Any) -> Any:
        """A simulated process gets no signals; it may prepare for them."""
        before = self._handlers.get((self._name(), number), signal.SIG_DFL)
        self._handlers[self._name(), number] = handler
        return before

    def _refuse_thread(self, thread: Thread) -> None:
        raise RefusedError(
            f"{self._name()} would start the thread {type(thread).__name__}; a run has one thread, use "
            "asyncio.to_thread or run_in_executor, which run inline"
        )

    @contextmanager
    def _sockets_of_machines(self) -> Iterator[None]:
        """``socket.socket(...)``, however a library refers to the class, makes a socket of the simulated machine."""
        make, running, loop = socket.socket.__new__, events._get_running_loop, self._world.loop  # noqa: SLF001

        def new(cls: type[socket.socket], *_: Any, **__: Any) -> socket.socket:
            if running() is not loop or issubclass(cls, MachineSocket):
                return make(cls)
            if cls is not socket.socket:
                raise RefusedError(f"{cls.__module__}.{cls.__name__} would open a real socket; use socket.socket")
            return make(MachineSocket)

        real: Any = socket.socket
        before = vars(real).get("__new__")  # an outer world's
        real.__new__ = new
        try:
            yield
        finally:
            if before is None:
                del real.__new__
            else:
                real.__new__ = before

    @contextmanager
    def _worker_threads_inline(self) -> Iterator[None]:
        """anyio.to_thread; where anyio is first imported during a run its threads are refused instead."""
        if "anyio" not in sys.modules:
            yield
            return
        backend = importlib.import_module("anyio._backends._asyncio").AsyncIOBackend
        real, running, loop = backend.run_sync_in_worker_thread, events._get_running_loop, self._world.loop  # noqa: SLF001

        async def inline(_: Any, func: Callable[..., Any], args: tuple[Any, ...], *rest: Any, **named: Any) -> Any:
            if running() is not loop:
                return await real(func, args, *rest, **named)
            await asyncio.sleep(0)
            return contextvars.copy_context().run(func, *args)

        with _replaced(backend, "run_sync_in_worker_thread", classmethod(inline)):
            yield


def _refuse_descriptors(call: str, *_: Any, **__: Any) -> Any:
    raise RefusedError(f"{call}: a simulated machine has no file descriptors; connect two sockets over 127.0.0.1")


@contextmanager
def _replaced(place: Any, name: str, stand_in: Any) -> Iterator[None]:
    before = vars(place)[name]
    setattr(place, name, stand_in)
    try:
        yield
    finally:
        setattr(place, name, before)
