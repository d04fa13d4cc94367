"""What the benchmark of failovers takes for an answer and for an announcement, and what not."""

from __future__ import annotations

import asyncio
import time

import pytest
from benchmarks.failover.outage import OutageError, gratuitous, until_served

STAMP = "1764432262.424747 ARP, "
ADDRESS = "10.0.0.10"


@pytest.mark.parametrize(
    "line",
    [
        "Request who-has 10.0.0.10 tell 10.0.0.10, length 28",
        "Request who-has 10.0.0.10 (ff:ff:ff:ff:ff:ff) tell 10.0.0.10, length 28",
        "Reply 10.0.0.10 is-at 02:bd:00:00:00:02, length 28",
    ],
)
def test_own_address_told_to_everybody_is_an_announcement(line: str) -> None:
    assert gratuitous(STAMP + line, ADDRESS) == 1764432262.424747


@pytest.mark.parametrize(
    "line",
    [
        "Request who-has 10.0.0.10 tell 0.0.0.0, length 28",
        "Request who-has 10.0.0.10 tell 10.0.0.100, length 28",
        "Request who-has 10.0.0.20 tell 10.0.0.20, length 28",
        "Request who-has 10.0.0.20 tell 10.0.0.10, length 28",
    ],
)
def test_probe_question_and_other_addresses_are_none(line: str) -> None:
    assert gratuitous(STAMP + line, ADDRESS) is None


@pytest.mark.program("curl")
@pytest.mark.parametrize(
    ("status", "body", "served"),
    [("200 OK", b"page", True), ("200 OK", b"other", False), ("503 Not yet", b"page", False)],
)
def test_only_the_right_page_is_an_answer(status: str, body: bytes, *, served: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()
        await writer.wait_closed()

    async def case() -> float:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await until_served(f"http://127.0.0.1:{port}/page", b"page", 20.0 if served else 0.7)

    began = time.monotonic()
    if served:
        assert asyncio.run(case()) >= began
    else:
        with pytest.raises(OutageError, match="was not served"):
            asyncio.run(case())
