"""What becomes of mail: Drop, other servers, reports, Badmail - and what a power cut leaves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.iis_mail.host import MAILROOT, Host, talk, until

from bodydouble_sim.iis import mailroot, smtp_envelope, smtp_report
from bodydouble_sim.iis.setup import IisOptions
from bodydouble_sim.iis.smtp_envelope import Envelope
from bodydouble_sim.iis.smtp_report import Failure
from bodydouble_sim.network.mail_exchange import MailDnsServer, exchangers

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.machine import WindowsMachine
    from bodydouble_sim.world import World

MESSAGE = b"Subject: one\r\n\r\ntext\r\n"
TO_US = (b"EHLO c\r\n", b"MAIL FROM:<a@far.example>\r\n", b"RCPT TO:<b@source>\r\n", b"DATA\r\n", MESSAGE + b".\r\n")
RELAY = ("127.0.0.0/8",)


def to(recipient: str, sender: str = "a@source") -> tuple[bytes, ...]:
    rcpt = f"RCPT TO:<{recipient}>\r\n".encode()
    return (b"EHLO c\r\n", f"MAIL FROM:<{sender}>\r\n".encode(), rcpt, b"DATA\r\n", MESSAGE + b".\r\n")


class Judge:
    """An aiosmtpd server that takes what it is told to take."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse = refuse
        self.taken: list[tuple[str, list[str], bytes]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's names
        self.taken.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 OK"

    async def serve(self, port: int = 0) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: SMTP(self, hostname="judge", loop=loop), "127.0.0.1", port)


@pytest.mark.behaviour("KB 250040: Badmail, Drop, Pickup, Queue and SortTemp beneath mailroot")
def test_the_service_makes_its_directories(host: Host) -> None:
    async def run() -> None:
        async with host.serving_mail():
            pass

    asyncio.run(run())
    assert host.names(MAILROOT) == ["Badmail", "Drop", "Pickup", "Queue", "SortTemp"]


@pytest.mark.behaviour("the SMTP service's overview: one Drop directory for all recipients of all local domains")
def test_one_file_in_drop_serves_all_local_recipients(host: Host) -> None:
    async def run() -> None:
        async with host.serving_mail(local_domains=("example.org",)) as port:
            await talk(port, *TO_US[:3], b"RCPT TO:<c@EXAMPLE.ORG>\r\n", b"RCPT TO:<postmaster>\r\n", *TO_US[3:])
            await until(lambda: bool(host.names("Drop")))

    asyncio.run(run())
    (stored,) = host.contents("Drop")
    decoded = smtp_envelope.decode(stored)
    assert decoded is not None
    assert decoded[0].recipients == ("b@source", "c@EXAMPLE.ORG", "postmaster")


@pytest.mark.behaviour("KB 198022: a file in RFC 822 form in Pickup is sent")
def test_a_file_in_pickup_is_delivered_and_bcc_is_taken_out(host: Host) -> None:
    text = b"From: A <a@source>\r\nTo: b@source,\r\n c@source\r\nBcc: d@source\r\nSubject: s\r\n\r\nhello\r\n"

    async def run() -> None:
        async with host.serving_mail():
            host.system.write_file(f"{MAILROOT}/Pickup/any name.txt", text)
            await until(lambda: bool(host.names("Drop")) and not host.names("Pickup"))

    asyncio.run(run())
    (stored,) = host.contents("Drop")
    decoded = smtp_envelope.decode(stored)
    assert decoded is not None
    assert decoded[0].sender == "a@source"
    assert decoded[0].recipients == ("b@source", "c@source", "d@source")
    assert b"Bcc" not in decoded[1]


@pytest.mark.behaviour("KB 201314: x-sender and x-receiver come before the headers of the message")
def test_the_envelope_lines_of_a_pickup_file_come_first() -> None:
    text = b"X-Sender: boss@x\r\nX-Receiver: <r@y>\r\nFrom: a@b\r\nTo: other@z\r\n\r\nhello\r\n"
    envelope, message = smtp_envelope.from_pickup(text)
    assert (envelope.sender, envelope.recipients) == ("boss@x", ("r@y",))
    assert message.startswith(b"From: a@b")


@pytest.mark.behaviour("KB 250040: what can be neither delivered nor returned goes to Badmail")
def test_a_pickup_file_without_recipients_goes_to_badmail_with_the_reason(host: Host) -> None:
    async def run() -> None:
        async with host.serving_mail():
            host.system.write_file(f"{MAILROOT}/Pickup/x.txt", b"Subject: s\r\n\r\nto nobody\r\n")
            await until(lambda: len(host.names("Badmail")) == 2)

    asyncio.run(run())
    assert [name.rpartition(".")[2] for name in host.names("Badmail")] == ["BAD", "BDR"]
    assert b"names no recipient" in host.contents("Badmail")[1]
    assert host.names("Pickup") == []


@pytest.mark.behaviour("RFC 2821, 5: mail for another domain goes to its server")
def test_an_independent_server_receives_what_is_relayed(host: Host) -> None:
    judge = Judge()

    async def run() -> None:
        server = await judge.serve()
        port = server.sockets[0].getsockname()[1]
        async with host.serving_mail(relay_from=RELAY, remote_port=port) as own:
            await talk(own, *to("x@[127.0.0.1]")[:4], b"Subject: dots\r\n\r\n..one\r\n.\r\n")
            await until(lambda: bool(judge.taken) and not host.names("Queue"))
        server.close()

    asyncio.run(run())
    ((sender, recipients, content),) = judge.taken
    assert (sender, recipients) == ("a@source", ["x@[127.0.0.1]"])
    assert content.endswith(b"Subject: dots\r\n\r\n.one\r\n")


@pytest.mark.behaviour("RFC 2821, 6.1 and RFC 1894: a final refusal is reported to the sender")
def test_a_refused_recipient_is_reported_to_the_sender(host: Host) -> None:
    judge = Judge("550 5.1.1 no such user here")

    async def run() -> None:
        server = await judge.serve()
        port = server.sockets[0].getsockname()[1]
        async with host.serving_mail(relay_from=RELAY, remote_port=port) as own:
            await talk(own, *to("x@[127.0.0.1]"))
            await until(lambda: bool(host.names("Drop")) and not host.names("Queue"))
        server.close()

    asyncio.run(run())
    (report,) = host.contents("Drop")
    assert report.startswith(b"x-sender: \r\nx-receiver: a@source\r\n")
    assert b"Status: 5.1.1\r\nDiagnostic-Code: smtp;550 5.1.1 no such user here\r\n" in report
    assert b"Subject: Delivery Status Notification (Failure)" in report


@pytest.mark.behaviour("TechNet cc757058: a report that cannot be delivered ends in Badmail")
def test_a_refused_report_ends_in_badmail(host: Host) -> None:
    judge = Judge("550 5.1.1 no such user here")

    async def run() -> None:
        server = await judge.serve()
        port = server.sockets[0].getsockname()[1]
        async with host.serving_mail(relay_from=RELAY, remote_port=port) as own:
            await talk(own, *to("x@[127.0.0.1]", "y@[127.0.0.1]"))
            await until(lambda: len(host.names("Badmail")) == 2 and not host.names("Queue"))
        server.close()

    asyncio.run(run())
    assert b"no such user here" in host.contents("Badmail")[1]


@pytest.mark.behaviour("TechNet cc757058: what fails is sent again from Queue after a while")
def test_a_server_that_is_down_is_tried_again(host: Host) -> None:
    judge = Judge()

    async def run() -> None:
        server = await judge.serve()
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        async with host.serving_mail(relay_from=RELAY, remote_port=port, retries=(0.05,)) as own:
            await talk(own, *to("x@[127.0.0.1]"))
            assert len(host.names("Queue")) == 1
            server = await judge.serve(port)
            await until(lambda: bool(judge.taken) and not host.names("Queue"))
        server.close()

    asyncio.run(run())
    assert len(judge.taken) == 1


@pytest.mark.behaviour("TechNet cc757058: 15, 30, 60 and then every 240 minutes")
def test_the_retry_intervals_are_the_documented_ones(host: Host) -> None:
    assert [host.mail.retry_after(attempt) / 60 for attempt in range(1, 6)] == [15, 30, 60, 240, 240]


@pytest.mark.behaviour("the SMTP service's help, Delivery: what is older than two days is returned")
def test_an_expired_message_is_returned(host: Host) -> None:
    async def run() -> None:
        async with host.serving_mail(relay_from=RELAY, remote_port=1, expires=0.0) as own:
            await talk(own, *to("x@[127.0.0.1]"))
            await until(lambda: bool(host.names("Drop")) and not host.names("Queue"))

    asyncio.run(run())
    assert b"Status: 4.4.7\r\n" in host.contents("Drop")[0]


@pytest.mark.behaviour("KB 303734: the hop count ends a message that goes in circles")
def test_a_message_that_goes_in_circles_is_returned(host: Host) -> None:
    judge = Judge()
    hops = b"Received: from x by y\r\n" * 20

    async def run() -> None:
        server = await judge.serve()
        port = server.sockets[0].getsockname()[1]
        async with host.serving_mail(relay_from=RELAY, remote_port=port) as own:
            await talk(own, *to("x@[127.0.0.1]")[:4], hops + MESSAGE + b".\r\n")
            await until(lambda: bool(host.names("Drop")))
        server.close()

    asyncio.run(run())
    assert judge.taken == []
    assert b"Status: 5.4.6" in host.contents("Drop")[0]


@pytest.mark.behaviour("KB 303759: so many messages over one connection, then a new one is opened")
def test_a_connection_carries_no_more_messages_than_allowed(host: Host) -> None:
    judge = Judge()
    connections = []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def connected() -> SMTP:
            connections.append(1)
            return SMTP(judge, hostname="judge", loop=loop)

        probe = await judge.serve()
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        await probe.wait_closed()
        async with host.serving_mail(relay_from=RELAY, remote_port=port) as own:
            for _ in range(5):
                await talk(own, *to("x@[127.0.0.1]"))
        server = await loop.create_server(connected, "127.0.0.1", port)
        async with host.serving_mail(max_batch=2):
            await until(lambda: len(judge.taken) == 5 and not host.names("Queue"))
        server.close()

    asyncio.run(run())
    assert len(connections) == 3


# --- power ------------------------------------------------------------------------------------------------------------


def cut_after_250(host: Host, seed: int) -> bool:
    """Whether a message that was acknowledged right before a power cut is in Drop after the next start."""

    async def accept() -> None:
        host.mail = replace(host.mail)
        service = host.smtp()
        await service.start(lambda _: None)
        service._tasks[0].cancel()  # delivery has not begun when the power goes
        port = service._listeners[0]._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        assert (await talk(port, *TO_US))[-1].startswith(b"250")
        host.lose_power(seed)
        service.kill()

    async def restart() -> bool:
        async with host.serving_mail():
            await until(lambda: not host.names("Queue"))
        return any(stored.endswith(MESSAGE) for stored in host.contents("Drop"))

    asyncio.run(accept())
    return asyncio.run(restart())


@pytest.mark.behaviour("RFC 2821, 6.1: a server that said 250 must not lose the message for frivolous reasons")
@pytest.mark.parametrize("seed", range(100))
def test_acknowledged_mail_survives_a_power_cut_right_after_250(seed: int) -> None:
    assert cut_after_250(Host(), seed)


def test_acknowledging_before_the_flush_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(self: mailroot.Mailroot, place: str, data: bytes) -> None:
        self._system.write_file(f"{self.root}/{place}", data)

    monkeypatch.setattr(mailroot.Mailroot, "_publish", hasty)
    assert not all(cut_after_250(Host(), seed) for seed in range(10))


def test_a_clock_that_was_set_back_overwrites_no_message(host: Host) -> None:
    names, start = [], host.clock.now
    for _ in range(3):
        host.clock.now = start
        place = mailroot.Mailroot(host.system, MAILROOT)
        place.prepare()
        names.append(place.accept(Envelope("a@b", ("c@d",), 1), MESSAGE))
    assert len(set(names)) == len(host.names("Queue")) == 3


def test_a_damaged_file_in_queue_goes_to_badmail_at_start(host: Host) -> None:
    async def run() -> None:
        async with host.serving_mail():
            pass
        host.system.write_file(f"{MAILROOT}/Queue/NTFS_1.EML", bytes(500))
        async with host.serving_mail():
            pass

    asyncio.run(run())
    assert host.names("Queue") == []
    assert host.names("Badmail") == ["1.BAD", "1.BDR"]


@pytest.mark.behaviour("reference/windows-iis.md, Services: SMTP runs in inetinfo.exe on IIS Admin")
def test_mail_travels_between_machines_by_mail_exchanger_and_survives_the_relays_power_cut(
    world: World, windows: Callable[..., WindowsMachine]
) -> None:
    relay, end, names = windows("RELAY", "10.0.0.1/24"), windows("END", "10.0.0.2/24"), windows("DNS", "10.0.0.3/24")
    relay.dns.servers = ["10.0.0.3"]
    zone = MailDnsServer({"mx.end.example": "10.0.0.2"}, {"end": [(20, "dead.example"), (10, "mx.end.example")]})

    async def answer_names() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: zone, local_addr=("0.0.0.0", 53))

    async def main() -> list[str]:
        for machine in (relay, end, names):
            machine.power_on()
            await machine.wait_booted()
        await names.perform(answer_names(), name="dns")
        await relay.install_iis(IisOptions())
        await end.install_iis(IisOptions())
        end.power_off()
        message = b"x-sender: a@relay\r\nx-receiver: b@end\r\nSubject: far\r\n\r\nhello\r\n"
        relay.put_file("C:/InetPub/mailroot/Pickup/m.txt", message)
        await asyncio.sleep(120)
        assert len(relay.system.files.list("C:/InetPub/mailroot/Queue")) == 1
        relay.power_off()
        end.power_on()
        await end.wait_booted()
        relay.power_on()
        await relay.wait_booted()
        await asyncio.sleep(120)
        found = end.system.files.list("C:/InetPub/mailroot/Drop")
        return [end.system.files.read(entry.path).decode() for entry in found]

    (stored,) = world.loop.run_until_complete(main())
    assert stored.startswith("x-sender: a@relay\r\nx-receiver: b@end\r\n")
    assert "Received: from relay ([10.0.0.1]) by end with Microsoft SMTPSVC" in stored


# --- envelopes, reports, answers of DNS -------------------------------------------------------------------------------


@given(st.lists(st.from_regex(smtp_envelope._MAILBOX, fullmatch=True), max_size=4), st.binary(max_size=200))
def test_what_is_queued_reads_back(recipients: list[str], message: bytes) -> None:
    envelope = Envelope("a@b", tuple(recipients), 7)
    decoded = smtp_envelope.decode(smtp_envelope.encode(envelope, b"Subject: x\r\n\r\n" + message))
    assert decoded == (envelope, b"Subject: x\r\n\r\n" + message)


@given(st.binary(max_size=400))
def test_no_file_in_pickup_or_queue_crashes_the_reader(data: bytes) -> None:
    smtp_envelope.decode(data)
    envelope, _ = smtp_envelope.from_pickup(data)
    assert all(smtp_envelope.is_mailbox(name) for name in envelope.recipients)


@given(st.binary(max_size=200))
def test_no_dns_answer_crashes_or_traps_the_reader(payload: bytes) -> None:
    exchangers(b"\x00\x07\x80\x00\x00\x01\x00\x05" + payload, 7)


def test_a_report_shows_the_original_head_and_nothing_of_its_body() -> None:
    text = smtp_report.report("s", "a@b", [Failure("x@y", "5.1.1", "no\r\nway")], MESSAGE + b"secret", 0)
    assert b"Subject: one\r\n" in text
    assert b"secret" not in text
    assert b"Diagnostic-Code: smtp;no way\r\n" in text
