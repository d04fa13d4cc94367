"""Independent clients against live bodies: processes of their own, real sockets, real files."""

from __future__ import annotations

import smtplib
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.sim.windows.test_live import LiveBody, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def body(tmp_path: Path) -> Iterator[LiveBody]:
    made = LiveBody(tmp_path)
    yield made
    if made.process.poll() is None:
        made.stop()


def install(body: LiveBody) -> tuple[int, int]:
    http, ftp, smtp, nntp = free_ports(4)
    code, output = body.ask("command", f"install-iis /drive:C /http:{http} /ftp:{ftp} /smtp:{smtp} /nntp:{nntp}")
    assert code == 0, output
    return smtp, nntp


def wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def news(port: int, *lines: bytes) -> list[bytes]:
    """A raw session; the first line of each answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as file:
        answers = [file.readline()]
        for line in lines:
            connection.sendall(line)
            answers.append(file.readline())
        return answers


@pytest.mark.behaviour("RFC 2821, 6.1: accepted mail is kept, also when the process is killed")
def test_smtplib_delivers_to_a_live_body_and_the_mail_is_on_its_disk(body: LiveBody) -> None:
    smtp, _ = install(body)
    drop = body.place / "drives/C/InetPub/mailroot/Drop"
    with smtplib.SMTP("127.0.0.1", smtp, local_hostname="client", timeout=10) as client:
        refused = client.sendmail("a@x", ["b@target", "c@far.example"], b"Subject: live\r\n\r\nhello\r\n")
        assert refused["c@far.example"][0] == 550
    body.process.kill()
    assert body.process.stdout is not None
    body.process.stdout.close()
    body.process.wait(20)
    body.process = body.start()
    body.ask("command", "net", "start", "SMTPSVC")
    wait(lambda: len(list(drop.iterdir())) == 1)
    assert next(drop.iterdir()).read_bytes().endswith(b"Subject: live\r\n\r\nhello\r\n")


@pytest.mark.behaviour("RFC 977, 3.10.2: an article that was posted is there, also when the process is killed")
def test_a_raw_news_session_posts_to_a_live_body_and_reads_after_a_kill(body: LiveBody) -> None:
    _, nntp = install(body)
    article = (
        b"From: a@x\r\nNewsgroups: microsoft.public.ins\r\nSubject: live\r\nMessage-ID: <l@x>\r\n\r\nhello\r\n.\r\n"
    )
    assert [line[:3] for line in news(nntp, b"POST\r\n", article)] == [b"200", b"340", b"240"]
    body.process.kill()
    assert body.process.stdout is not None
    body.process.stdout.close()
    body.process.wait(20)
    body.process = body.start()
    body.ask("command", "net", "start", "NNTPSVC")
    answers = news(nntp, b"GROUP microsoft.public.ins\r\n", b"STAT 1\r\n", b"QUIT\r\n")
    assert answers[1] == b"211 1 1 1 microsoft.public.ins\r\n"
    assert answers[2].startswith(b"223 1 <l@x>")
    assert (body.place / "drives/C/InetPub/nntpfile/root/microsoft/public/ins/1.nws").exists()
