"""Virtual directories on another machine's share, through a redirector that a test stands in for."""

from __future__ import annotations

import asyncio
import ftplib
import io
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import FTP_ROOT, ROOT_KEY, Site, run

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble.vocabulary.operations import Entry, Metadata

if TYPE_CHECKING:
    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
SHARE = "\\\\FILES\\web"


class Far:
    """A share with files in it; every call takes a turn of the loop, as a network does."""

    def __init__(self) -> None:
        self.files = {f"{SHARE}\\big.bin": bytes(range(256)) * 800, f"{SHARE}\\Default.htm": b"from afar"}
        self.refusal = ""
        self.used: list[str] = []

    def reset(self) -> None:
        """No sessions."""

    def close(self) -> None:
        """No sessions."""

    async def _cross(self) -> None:
        await asyncio.sleep(0)
        if self.refusal:
            raise BodydoubleError(self.refusal)

    async def connect(self, unc: str, account: str = "", password: str = "") -> None:
        await self._cross()
        self.used.append(f"{account}:{password} {unc}")

    async def stat(self, unc: str) -> Entry | None:
        await self._cross()
        if unc == SHARE:
            return Entry("E:/web", True, 0, 10**18, Metadata())
        data = self.files.get(unc)
        return None if data is None else self._entry(unc)

    def _entry(self, unc: str) -> Entry:
        return Entry(f"E:/web/{unc.rpartition(chr(92))[2]}", False, len(self.files[unc]), 10**18, Metadata())

    async def list(self, unc: str) -> list[Entry]:
        await self._cross()
        del unc
        return [self._entry(name) for name in sorted(self.files)]

    async def read(self, unc: str, offset: int = 0, size: int | None = None) -> bytes:
        await self._cross()
        if unc not in self.files:
            raise FileSystemError("not_found", unc)
        return self.files[unc][offset : None if size is None else offset + size]

    async def create(self, unc: str) -> None:
        await self._cross()
        self.files[unc] = b""

    async def write(self, unc: str, offset: int, data: bytes) -> None:
        await self._cross()
        old = self.files[unc]
        self.files[unc] = old[:offset] + data + old[offset + len(data) :]

    async def remove(self, unc: str) -> None:
        await self._cross()
        del self.files[unc]

    async def rename(self, unc: str, new_unc: str) -> None:
        await self._cross()
        self.files[new_unc] = self.files.pop(unc)


def reached(system: WindowsSystem) -> Far:
    """A machine with a way to the share."""
    far = Far()
    system.redirector = far  # type: ignore[assignment]
    return far


def configure(site: Site) -> None:
    site.set(f"{ROOT_KEY}/far", Path=SHARE, AccessFlags=3, UNCUserName="clerk", UNCPassword="s3cret")
    site.set(f"{FTP_ROOT}/far", Path=SHARE, AccessFlags=3)


@behaviour("IIS documentation, virtual directories may be on another computer (UNC path)")
def test_a_virtual_directory_on_a_share_is_served(either: WindowsSystem) -> None:
    far = reached(either)

    async def work(site: Site) -> list[httpx.Response]:
        configure(site)
        paths = ("/far/", "/far/big.bin", "/far/none")
        seen = [await site.http.get(path) for path in paths]
        return [*seen, await site.http.get("/far/big.bin", headers={"Range": "bytes=1-2"})]

    home, big, missing, part = run(either, work)
    assert (home.content, missing.status_code) == (b"from afar", 404)
    assert big.content == far.files[f"{SHARE}\\big.bin"]
    assert (part.status_code, part.content) == (206, b"\x01\x02")


@behaviour("IIS documentation, virtual directories on another computer with write access")
def test_files_are_put_onto_a_share(system: WindowsSystem) -> None:
    far = reached(system)

    async def work(site: Site) -> list[int]:
        configure(site)
        put = await site.http.put("/far/new.txt", content=b"new")
        delete = await site.http.delete("/far/new.txt")
        return [put.status_code, delete.status_code]

    assert run(system, work) == [201, 200]
    assert f"{SHARE}\\new.txt" not in far.files


@behaviour("IIS documentation, Authentication for UNC Shares (UNCUserName and UNCPassword)")
def test_the_virtual_directorys_account_is_used_at_the_other_machine(either: WindowsSystem) -> None:
    far = reached(either)

    async def work(site: Site) -> None:
        configure(site)
        for _ in range(2):
            assert (await site.http.get("/far/")).status_code == 200

    run(either, work)
    assert far.used == [f"clerk:s3cret {SHARE}"]


@behaviour("IIS documentation, Authentication for UNC Shares: what the other machine refuses is a 500")
def test_a_share_that_refuses_is_a_server_error(system: WindowsSystem) -> None:
    far = reached(system)

    async def work(site: Site) -> httpx.Response:
        configure(site)
        far.refusal = "The network path was not found."
        return await site.http.get("/far/")

    answer = run(system, work)
    assert answer.status_code == 500
    assert b"The network path was not found." in answer.content


@behaviour("IIS documentation, FTP virtual directories may be on another computer")
def test_ftp_reads_and_writes_a_share(either: WindowsSystem) -> None:
    far = reached(either)

    def client(ftp: ftplib.FTP) -> tuple[str, bytes]:
        ftp.login()
        ftp.storbinary("STOR far/new.txt", io.BytesIO(b"new"))
        ftp.rename("far/new.txt", "far/renamed.txt")
        got = io.BytesIO()
        ftp.retrbinary("RETR far/big.bin", got.write)
        far.refusal = "The network path was not found."
        with pytest.raises(ftplib.error_perm) as lost:
            ftp.nlst("far")
        return str(lost.value), got.getvalue()

    async def work(site: Site) -> tuple[str, bytes]:
        configure(site)
        return await site.ftp(client)

    said, data = run(either, work)
    assert said == "550 far: The network path was not found."
    assert data == far.files[f"{SHARE}\\big.bin"]
    assert far.files[f"{SHARE}\\renamed.txt"] == b"new"
