"""What the metabase tells the product about directories: the `Applications` port of a simulated machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import Site, files, run

from bodydouble.errors import ServiceError
from bodydouble_sim.iis.metabase_file import METABASE
from bodydouble_sim.ports.applications import SimApplications

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

SHIPPED = [
    (r"C:\InetPub\wwwroot", "web site 1 (Default Web Site)", "root"),
    (r"C:\InetPub\ftproot", "FTP site 1 (Default FTP Site)", "root"),
    (r"C:\InetPub\wwwroot\records", "FTP site 1 (Default FTP Site)", "virtual directory /records"),
    (r"C:\InetPub\nntpfile", "news site 1", "root"),
    (r"C:\InetPub\mailroot\Drop", "SMTP site 1", "drop directory"),
    (r"C:\InetPub\mailroot\Queue", "SMTP site 1", "queue directory"),
    (r"C:\InetPub\mailroot\Badmail", "SMTP site 1", "badmail directory"),
    (r"C:\InetPub\mailroot\Pickup", "SMTP site 1", "pickup directory"),
]


async def told(system: WindowsSystem) -> list[tuple[str, str, str]]:
    found = await SimApplications(system).directories()
    return [(each.path, each.application, each.what) for each in found]


def test_every_directory_of_every_service_is_told(either: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        assert await told(site.system) == SHIPPED
        site.set("W3SVC/2/ROOT", Path=r"D:\shop")
        site.set("W3SVC/2", ServerComment="Shop")
        site.set("W3SVC/2/ROOT/images", Path=r"\\FILES\images")
        site.set("W3SVC/2/ROOT/images/open", AccessRead=True)
        assert (await told(site.system))[1:3] == [
            (r"D:\shop", "web site 2 (Shop)", "root"),
            (r"\\FILES\images", "web site 2 (Shop)", "virtual directory /images"),
        ]

    run(either, work)


def test_a_machine_whose_iis_is_stopped_or_refuses_its_name_tells_what_the_file_says(system: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        site.set("W3SVC/2/ROOT", Path=r"D:\shop")
        await site.system.scm.stop("IISADMIN", dependents=True)
        assert (r"D:\shop", "web site 2", "root") in await told(site.system)
        site.system.names.set_active("OTHER")
        assert (r"D:\shop", "web site 2", "root") in await told(site.system)

    run(system, work)


def test_a_machine_without_iis_tells_nothing_and_a_damaged_metabase_is_an_error(system: WindowsSystem) -> None:
    assert asyncio.run(told(system)) == []
    files_ = files(system)
    system.make_directories(METABASE.rpartition("/")[0])
    system.write_file(METABASE, b"METABASE 2 torn")
    assert files_.stat(METABASE) is not None
    with pytest.raises(ServiceError, match="cannot be read"):
        asyncio.run(told(system))
