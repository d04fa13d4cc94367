"""What an SMTP client is told."""

from __future__ import annotations

import asyncio
import base64
import smtplib
from email.message import EmailMessage

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.iis_mail.host import Host, talk, until

HELLO = b"EHLO client\r\n"
TO_US = (HELLO, b"MAIL FROM:<a@far.example>\r\n", b"RCPT TO:<b@source>\r\n")


def said(host: Host, *steps: bytes, **options: object) -> list[bytes]:
    async def run() -> list[bytes]:
        async with host.serving_mail(**options) as port:
            return await talk(port, *steps)

    return asyncio.run(run())


@pytest.mark.behaviour("KB 254560: code, host, software and date are the banner's four parts")
def test_the_smtp_banner_names_host_software_version_and_date(host: Host) -> None:
    (banner,) = said(host)
    assert banner == (
        b"220 source Microsoft ESMTP MAIL Service, Version: 5.0.2195.1600 ready at Mon, 02 Dec 2002 09:00:00 +0000\r\n"
    )


@pytest.mark.behaviour("RFC 2821, 4.1.1.1 and RFC 1870, 1652, 2920, 2034: what EHLO offers")
def test_ehlo_offers_size_pipelining_and_8bitmime_on_iis_5(host: Host) -> None:
    async def run() -> dict[str, str]:
        async with host.serving_mail() as port:
            return await asyncio.to_thread(offered, port)

    def offered(port: int) -> dict[str, str]:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client", timeout=10) as client:
            client.ehlo()
            return dict(client.esmtp_features)

    found = asyncio.run(run())
    assert found["size"].strip() == "2097152"
    assert {"pipelining", "8bitmime", "enhancedstatuscodes", "dsn", "vrfy"} <= set(found)


@pytest.mark.behaviour("reference/windows-iis.md: IIS 4.0's service is the older one; RFC 2034 is IIS 5.0's")
def test_iis_4_answers_without_enhanced_codes(host: Host) -> None:
    lines = said(host, HELLO, b"NOOP\r\n", b"WHAT\r\n", enhanced=False)
    assert lines[2:] == [b"250 OK\r\n", b"500 Unrecognized command\r\n"]


@pytest.mark.behaviour("KB 240832: HELO and EHLO need a name in the form of RFC 821")
@pytest.mark.parametrize("line", [b"EHLO\r\n", b"HELO \r\n", b"HELO two words\r\n"])
def test_a_hello_without_a_proper_name_is_501(host: Host, line: bytes) -> None:
    assert said(host, line)[1].startswith(b"501 5.5.4")


@pytest.mark.behaviour("RFC 2821, 4.1.4: the order of commands")
def test_commands_out_of_order_are_503(host: Host) -> None:
    lines = said(
        host,
        b"MAIL FROM:<a@b>\r\n",
        HELLO,
        b"RCPT TO:<b@source>\r\n",
        b"DATA\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"DATA\r\n",
    )
    assert [line[:3] for line in lines] == [b"220", b"503", b"250", b"503", b"503", b"250", b"503", b"503"]


@pytest.mark.behaviour("RFC 2821, 4.1.1.5: RSET forgets the transaction and nothing else")
def test_rset_forgets_sender_and_recipients(host: Host) -> None:
    lines = said(host, *TO_US, b"RSET\r\n", b"DATA\r\n", b"MAIL FROM:<a@b>\r\n")
    assert [line[:3] for line in lines[4:]] == [b"250", b"503", b"250"]


@pytest.mark.behaviour("KB 310356: by default nobody relays through the service")
def test_mail_for_another_domain_is_refused_with_550(host: Host) -> None:
    lines = said(host, *TO_US[:2], b"RCPT TO:<x@far.example>\r\n")
    assert lines[-1] == b"550 5.7.1 Unable to relay for x@far.example\r\n"


@pytest.mark.behaviour("KB 310356: computers that are listed may relay")
def test_a_listed_network_may_relay(host: Host) -> None:
    lines = said(host, *TO_US[:2], b"RCPT TO:<x@far.example>\r\n", relay_from=("127.0.0.0/8",))
    assert lines[-1].startswith(b"250 2.1.5")


@pytest.mark.behaviour("KB 310356: computers that authenticate may relay, whatever the list says")
def test_who_authenticates_may_relay(host: Host) -> None:
    host.accounts["carol"] = "secret"
    name, wrong, right = (base64.b64encode(text) + b"\r\n" for text in (b"carol", b"guess", b"secret"))
    lines = said(
        host,
        *(HELLO, b"AUTH LOGIN\r\n", name, wrong, b"AUTH LOGIN\r\n", name, right),
        *(b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<x@far.example>\r\n"),
    )
    assert [line[:3] for line in lines[2:]] == [b"334", b"334", b"535", b"334", b"334", b"235", b"250", b"250"]


@pytest.mark.behaviour("RFC 1870, 6: a declared size beyond the limit is refused at MAIL")
def test_a_declared_size_beyond_the_limit_is_552(host: Host) -> None:
    lines = said(host, HELLO, b"MAIL FROM:<a@b> SIZE=2097153\r\n", b"MAIL FROM:<a@b> SIZE=2097152\r\n")
    assert [line[:3] for line in lines[2:]] == [b"552", b"250"]


@pytest.mark.behaviour("KB 303759: the limit of a message's size")
def test_a_message_beyond_the_limit_is_552_and_not_kept(host: Host) -> None:
    text = b"x" * 5000 + b"\r\n.\r\n"
    lines = said(host, *TO_US, b"DATA\r\n", text, *TO_US[1:], max_message=4000)
    assert [line[:3] for line in lines[4:]] == [b"354", b"552", b"250", b"250"]
    assert host.names("Queue") == host.names("Drop") == []


@pytest.mark.behaviour("KB 303759: beyond the session's size the connection is closed")
def test_a_session_beyond_its_size_is_closed(host: Host) -> None:
    lines = said(host, *TO_US, b"DATA\r\n", b"x" * 5000 + b"\r\n.\r\n", max_session=4000)
    assert lines[-1].startswith(b"421")
    assert host.names("Queue") == host.names("Drop") == []


@pytest.mark.behaviour("KB 303759: the limit of a message's recipients; RFC 2821, 4.5.3.1: 452")
def test_one_recipient_too_many_is_452(host: Host) -> None:
    more = [f"RCPT TO:<r{number}@source>\r\n".encode() for number in range(3)]
    lines = said(host, *TO_US[:2], *more, max_recipients=2)
    assert [line[:3] for line in lines[3:]] == [b"250", b"250", b"452"]


@pytest.mark.behaviour("RFC 2821, 3.5.3: 252 when an address cannot be verified; the site has no mailboxes")
def test_vrfy_promises_nothing(host: Host) -> None:
    assert said(host, HELLO, b"VRFY someone\r\n")[-1].startswith(b"252 2.1.5")


@pytest.mark.behaviour("RFC 2821, 4.1.1.10: QUIT is answered with 221")
def test_quit_says_goodbye(host: Host) -> None:
    assert said(host, b"QUIT\r\n")[-1] == b"221 2.0.0 source Service closing transmission channel\r\n"


@pytest.mark.behaviour("RFC 2920: pipelined commands are answered in their order")
def test_pipelined_commands_are_answered_in_order(host: Host) -> None:
    async def run() -> list[bytes]:
        async with host.serving_mail() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@source>\r\nRCPT TO:<c@far>\r\nDATA\r\n")
            writer.write(b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n")
            lines = (await reader.read()).splitlines()
            writer.close()
            return lines

    codes = [line[:3] for line in asyncio.run(run())]
    assert codes == [b"220", b"250", b"250", b"250", b"550", b"354", b"250", b"221"]


@pytest.mark.behaviour("RFC 2821, 4.5.2: dots are undone; 2.3.7: only CR LF ends a line")
def test_a_lone_line_feed_does_not_end_a_message(host: Host) -> None:
    smuggled = b"one\n.\nMAIL FROM:<evil@b>\r\n..two\r\n.\r\n"

    async def run() -> list[bytes]:
        async with host.serving_mail() as port:
            lines = await talk(port, *TO_US, b"DATA\r\n", smuggled, b"NOOP\r\n")
            await until(lambda: bool(host.names("Drop")))
            return lines

    assert asyncio.run(run())[-1].startswith(b"250 2.0.0 OK")
    (message,) = host.contents("Drop")
    assert message.endswith(b"one\n.\nMAIL FROM:<evil@b>\r\n.two\r\n")


@pytest.mark.behaviour("RFC 2821, 4.2.5 and 6.1: 250 after the text means that the server has the message")
def test_smtplib_delivers_a_message_to_drop(host: Host) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@far.example", "b@source", "Grüße"
    message.set_content("text\n.\nmore\n" + "x" * 700)

    def deliver(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client", timeout=10) as client:
            client.send_message(message)

    async def run() -> None:
        async with host.serving_mail() as port:
            await asyncio.to_thread(deliver, port)
            await until(lambda: bool(host.names("Drop")))

    asyncio.run(run())
    (stored,) = host.contents("Drop")
    assert stored.startswith(b"x-sender: a@far.example\r\nx-receiver: b@source\r\n")
    assert b"Received: from client ([127.0.0.1]) by source with Microsoft SMTPSVC(5.0.2195.1600);" in stored
    assert b"text\r\n.\r\nmore\r\n" in stored
    assert host.names("Queue") == host.names("SortTemp") == []


@pytest.mark.behaviour("RFC 2821, 4.2.2: 452 insufficient system storage")
def test_a_full_disk_is_452_and_nothing_half_stays(host: Host) -> None:
    async def run() -> bytes:
        async with host.serving_mail() as port:
            host.volume.disk.capacity = host.volume.disk.used + 10_000
            return (await talk(port, *TO_US, b"DATA\r\n", b"x" * 50_000 + b"\r\n.\r\n"))[-1]

    assert asyncio.run(run()).startswith(b"452 4.3.1 Out of disk space")
    assert host.names("Queue") == host.names("SortTemp") == []


@pytest.mark.behaviour("the SMTP service's help: connections beyond the limit are refused")
def test_a_session_beyond_the_limit_is_turned_away(host: Host) -> None:
    async def run() -> bytes:
        async with host.serving_mail(max_sessions=1) as port:
            first, writer = await asyncio.open_connection("127.0.0.1", port)
            await first.readline()
            (line,) = await talk(port)
            writer.close()
            return line

    assert asyncio.run(run()).startswith(b"421 4.3.2")


def test_an_endless_command_line_is_500_and_the_session_goes_on(host: Host) -> None:
    lines = said(host, b"NOOP " + b"x" * 100_000 + b"\r\n", b"NOOP\r\n")
    assert [line[:3] for line in lines] == [b"220", b"500", b"250"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([*TO_US, b"DATA\r\n", b".\r\n", b"\r\n", b"AUTH LOGIN\r\n", b"RSET\r\n", b"VRFY x\r\n"]),
        ),
        max_size=12,
    )
)
def test_random_bytes_never_crash_a_session(pieces: list[bytes]) -> None:
    host = Host()

    async def run() -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        async with host.serving_mail() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(pieces))
            writer.write_eof()
            await reader.read()
            writer.close()
            assert (await talk(port))[0].startswith(b"220")
        assert trouble == []

    asyncio.run(run())
