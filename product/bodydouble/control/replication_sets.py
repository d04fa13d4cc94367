"""The control API's routes for replication sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.control.answers import answer, read_body, read_query
from bodydouble.control.routing import delete, done, get, post, set_of
from bodydouble.vocabulary.records import ReplicationSet
from bodydouble.vocabulary.sets import SetName

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bodydouble.control.api import Backends


def set_routes(backends: Backends) -> list[Route]:
    """List, save, copy, rename, delete; explain, calculate."""
    service = backends.replication

    async def sets(_request: Request) -> Response:
        return answer(service.sets())

    async def save(request: Request) -> Response:
        new = read_query(request, "new", bool, default=False)
        remirror = read_query(request, "remirror", bool, default=True)
        wanted = await read_body(request, ReplicationSet)
        return answer(await service.save_set(wanted, new=new, remirror=remirror))

    async def show(request: Request) -> Response:
        return answer(service.home.find(set_of(request, service)))

    async def remove(request: Request) -> Response:
        disconnect = read_query(request, "disconnect", bool, default=False)
        await service.delete_set(set_of(request, service), disconnect=disconnect)
        return done()

    async def coverage(_request: Request) -> Response:
        return answer(await service.coverage.now())

    return [
        get("coverage", coverage),
        get("replication-sets", sets),
        post("replication-sets", save),
        get("replication-sets/{name}", show),
        delete("replication-sets/{name}", remove),
        *_names(backends),
        *_size(backends),
    ]


def _names(backends: Backends) -> list[Route]:
    service = backends.replication

    async def copy(request: Request) -> Response:
        name = set_of(request, service)
        return answer(await service.home.copy(name, (await read_body(request, SetName)).name))

    async def rename(request: Request) -> Response:
        name = set_of(request, service)
        return answer(await service.home.rename(name, (await read_body(request, SetName)).name))

    async def explain(request: Request) -> Response:
        path = read_query(request, "path", str, default="")
        return answer(service.home.explain(set_of(request, service), path))

    return [
        post("replication-sets/{name}/copy", copy),
        post("replication-sets/{name}/rename", rename),
        get("replication-sets/{name}/explanation", explain),
    ]


def _size(backends: Backends) -> list[Route]:
    service = backends.replication

    async def size(request: Request) -> Response:
        return answer(service.home.size(set_of(request, service)))

    async def calculate(request: Request) -> Response:
        return answer(service.home.calculate(set_of(request, service)))

    async def cancel(request: Request) -> Response:
        return answer(await service.home.cancel(set_of(request, service)))

    path = "replication-sets/{name}/size"
    return [get(path, size), post(path, calculate), delete(path, cancel)]
