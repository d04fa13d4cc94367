"""What the door refuses: strangers, hostile messages, too much of anything."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.winrm.conftest import URL, Client, fault_code, reason, shell_id, subcode

from bodydouble_sim.errors import XmlError
from bodydouble_sim.live.winrm.command import INPUT_LIMIT
from bodydouble_sim.live.winrm.faults import WsmanFaultError
from bodydouble_sim.live.winrm.message import (
    ADDRESSING,
    LONGEST_TIMEOUT,
    MESSAGE_LIMIT,
    SMALLEST_ENVELOPE,
    SOAP,
    TRANSFER,
    WSMAN,
    duration,
    read,
)
from bodydouble_sim.live.winrm.shells import IDLE_TIMEOUT, MOST_COMMANDS, MOST_SHELLS, MOST_VARIABLES
from bodydouble_sim.plain_xml import DEEPEST, MOST_ELEMENTS, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from bodydouble_sim.windows.machine import WindowsMachine

    Act = Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any]


# --- who may enter ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (None, "Basic authentication only"),
        (("Administrator", "wrong"), "unknown user name or bad password"),
        (("Nobody", "a secret"), "unknown user name or bad password"),
        (("Guest", ""), "without a password"),
    ],
)
def test_a_stranger_gets_401_with_a_challenge(act: Act, auth: tuple[str, str] | None, text: str) -> None:
    response = act(lambda client: client.post(client.envelope(f"{TRANSFER}/Create"), auth=auth))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Basic realm="WSMAN"'
    assert text in response.text


@pytest.mark.parametrize("scheme", ["Negotiate", "NTLM", "Kerberos", "CredSSP"])
def test_another_authentication_gets_401_that_names_it(act: Act, scheme: str) -> None:
    response = act(lambda client: client.post(b"", auth=None, headers={"Authorization": f"{scheme} TlRMTVNTUAAB"}))
    assert response.status_code == 401
    assert f"{scheme} is not supported. This door takes Basic" in response.text


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic /////w==", "Basic Og=="])
def test_a_broken_basic_header_gets_401(act: Act, value: str) -> None:
    assert act(lambda client: client.post(b"", auth=None, headers={"Authorization": value})).status_code == 401


def test_a_user_who_is_no_administrator_is_denied(act: Act, server: WindowsMachine) -> None:
    server.system.accounts.add("anna", "her own")
    client = Client("anna", "her own")

    async def story(_: Client) -> Any:
        async with client.http:
            return await client.create()

    answer = act(story)
    assert (fault_code(answer), subcode(answer)) == (5, "w:AccessDenied")


def test_a_shell_is_its_owners_alone(act: Act, server: WindowsMachine) -> None:
    server.system.accounts.add("anna", "her own")
    server.system.accounts.add_member("Administrators", "anna")
    other = Client("anna", "her own")

    async def story(client: Client) -> Any:
        async with other.http:
            return await other.command(await client.shell(), "ver")

    assert fault_code(act(story)) == 5


def test_a_disabled_administrator_cannot_enter(act: Act, server: WindowsMachine) -> None:
    server.system.accounts.add("anna", "her own")
    server.system.accounts.set_enabled("anna", enabled=False)
    response = act(lambda client: client.post(b"", auth=("anna", "her own")))
    assert response.status_code == 401
    assert "currently disabled" in response.text


# --- HTTP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("GET", "/wsman", "application/soap+xml", 405),
        ("POST", "/", "application/soap+xml", 404),
        ("POST", "/wsman", "text/xml", 415),
        ("POST", "/wsman/", "application/soap+xml", 500),
    ],
)
def test_only_soap_posted_to_wsman_is_served(act: Act, method: str, path: str, kind: str, status: int) -> None:
    async def story(client: Client) -> httpx.Response:
        auth = (client.account, client.password)
        url = URL.replace("/wsman", path)
        return await client.http.request(method, url, content=b"<x/>", headers={"Content-Type": kind}, auth=auth)

    assert act(story).status_code == status


def test_a_message_that_is_too_large_is_not_read(act: Act) -> None:
    assert act(lambda client: client.post(b"x" * (MESSAGE_LIMIT + 1))).status_code == 413


def test_a_message_that_never_comes_to_its_end_is_given_up(act: Act) -> None:
    async def story(_: Client) -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.10", 5985)
        lines = [
            "POST /wsman HTTP/1.1",
            "Host: TARGET",
            "Content-Type: application/soap+xml",
            "Authorization: Basic QWRtaW5pc3RyYXRvcjphIHNlY3JldA==",
            "Content-Length: 100",
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n<s:")
        data = await reader.read()
        writer.close()
        return data

    assert act(story).startswith(b"HTTP/1.1 408 ")


# --- messages ---------------------------------------------------------------------------------------------------------

BOMB = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
OUTSIDE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'


@pytest.mark.parametrize("hostile", [BOMB, OUTSIDE, b"<a>&b;</a>", b"<a", b"", b"\xff\xfe", b"<a/><b/>", b"text"])
def test_hostile_xml_gets_a_fault_and_is_not_expanded(act: Act, hostile: bytes) -> None:
    answer = parse(act(lambda client: client.post(hostile)).content)
    assert (fault_code(answer), subcode(answer)) == (0x80338041, "w:SchemaValidationError")


def test_xml_too_deep_or_of_too_many_elements_is_refused() -> None:
    with pytest.raises(XmlError, match="levels"):
        parse(b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1))
    with pytest.raises(XmlError, match="elements"):
        parse(b"<r>" + b"<a/>" * MOST_ELEMENTS + b"</r>")
    assert len(parse(b"<r>" + b"<a/>" * (MOST_ELEMENTS - 1) + b"</r>").children) == MOST_ELEMENTS - 1


def test_a_header_that_must_be_understood_and_is_not_is_refused(act: Act) -> None:
    header = '<x:Secret xmlns:x="urn:x" s:mustUnderstand="true"/>'
    answer = parse(act(lambda client: client.post(client.envelope(f"{TRANSFER}/Create", header=header))).content)
    assert "the header Secret is not understood" in reason(answer)


def test_actions_and_resources_that_are_not_there_are_refused(act: Act) -> None:
    async def story(client: Client) -> tuple[int | None, int | None]:
        action = await client.ask(f"{TRANSFER}/Put")
        message = client.envelope(f"{TRANSFER}/Create").replace(b"shell/cmd<", b"shell/powershell<")
        return fault_code(action), fault_code(parse((await client.post(message)).content))

    assert act(story) == (0x80338013, 0x80338000)


@pytest.mark.parametrize("body", ["", "<rsp:Shell/>", "<rsp:CommandLine/>", "<CommandLine/>"])
def test_a_body_of_another_kind_is_refused(act: Act, body: str) -> None:
    async def story(client: Client) -> int | None:
        action = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command"
        return fault_code(await client.ask(action, body, await client.shell()))

    assert act(story) == 0x80338041


def test_input_that_is_not_base64_or_too_much_is_refused(act: Act) -> None:
    async def story(client: Client) -> tuple[int | None, int | None]:
        shell = await client.shell()
        command = await client.start(shell, "more")
        body = f'<rsp:Send><rsp:Stream Name="stdin" CommandId="{command}">!!</rsp:Stream></rsp:Send>'
        broken = await client.ask("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send", body, shell)
        return fault_code(broken), fault_code(await client.send(shell, command, b"x" * (INPUT_LIMIT + 1)))

    assert act(story) == (0x80338041, 0x80338042)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT20S", 20), ("PT0.5S", 0.5), ("P1DT1H1M1S", 90_061), ("PT", None), ("P", None), ("20", None), ("-PT1S", None)],
)
def test_durations_are_read_as_xml_schema_writes_them(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_is_sent_is_a_request_or_a_fault(data: bytes) -> None:
    with contextlib.suppress(WsmanFaultError):
        read(data)


LEAVES = st.sampled_from(["", "x", "PT1S", "99999999999999999999", "-1", f"{TRANSFER}/Create"])
NAMES = st.sampled_from(
    ["w:OperationTimeout", "w:MaxEnvelopeSize", "a:Action", "w:SelectorSet", "w:Selector", "w:OptionSet", "w:Option"]
)


@given(st.lists(st.tuples(NAMES, LEAVES, st.booleans()), max_size=12))
def test_headers_of_any_shape_are_read_or_refused(parts: list[tuple[str, str, bool]]) -> None:
    inside = "".join(f"<{name}>{text}{f'<{name}/>' if nested else ''}</{name}>" for name, text, nested in parts)
    text = f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}"><s:Header>{inside}</s:Header>'
    request = read(f"{text}<s:Body/></s:Envelope>".encode())
    assert 0 < request.timeout <= LONGEST_TIMEOUT
    assert request.envelope >= SMALLEST_ENVELOPE


# --- shells -----------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("wsmerror.h: ERROR_WSMAN_UNEXPECTED_SELECTORS 0x8033805B, subcode InvalidSelectors")
def test_a_deleted_shell_is_not_found_any_more(act: Act) -> None:
    async def story(client: Client) -> Any:
        shell = await client.shell()
        await client.ask(f"{TRANSFER}/Delete", shell=shell)
        return await client.command(shell, "ver")

    answer = act(story)
    assert (fault_code(answer), subcode(answer)) == (2150858843, "w:InvalidSelectors")


def test_a_request_that_selects_no_shell_is_refused(act: Act) -> None:
    answer = act(lambda client: client.command("", "ver"))
    assert (fault_code(answer), subcode(answer)) == (0x8033805A, "w:InvalidSelectors")


@pytest.mark.behaviour("[MS-WSMV] 3.1.4.5.2.1: QuotaLimit when there are too many shells")
def test_there_are_no_more_shells_than_the_limit_until_one_is_deleted(act: Act) -> None:
    async def story(client: Client) -> tuple[Any, Any]:
        shells = [await client.shell() for _ in range(MOST_SHELLS)]
        refused = await client.create()
        await client.ask(f"{TRANSFER}/Delete", shell=shells[3])
        return refused, await client.create()

    refused, made = act(story)
    assert (fault_code(refused), subcode(refused)) == (0x803381A5, "w:QuotaLimit")
    assert shell_id(made)


def test_a_shell_has_no_more_commands_than_the_limit(act: Act) -> None:
    async def story(client: Client) -> Any:
        shell = await client.shell()
        for _ in range(MOST_COMMANDS):
            await client.start(shell, "slow 600")
        return await client.command(shell, "ver")

    assert fault_code(act(story)) == 0x803381A6


@pytest.mark.parametrize(
    "variables",
    [
        "".join(f'<rsp:Variable Name="V{number}">x</rsp:Variable>' for number in range(MOST_VARIABLES + 1)),
        f'<rsp:Variable Name="LONG">{"x" * 70_000}</rsp:Variable>',
        '<rsp:Variable Name="A=B">x</rsp:Variable>',
    ],
    ids=["many", "long", "odd"],
)
def test_an_environment_that_no_interpreter_takes_is_refused(act: Act, variables: str) -> None:
    answer = act(lambda client: client.create(f"<rsp:Environment>{variables}</rsp:Environment>"))
    assert fault_code(answer) == 0x80338041


def test_a_shell_that_nobody_uses_is_closed_with_its_commands(act: Act, server: WindowsMachine) -> None:
    async def story(client: Client) -> int | None:
        shell = await client.shell()
        await client.start(shell, f"slow {3 * IDLE_TIMEOUT:.0f} & echo done>C:\\done.txt")
        await asyncio.sleep(IDLE_TIMEOUT + 1)
        code = fault_code(await client.command(shell, "ver"))
        await asyncio.sleep(3 * IDLE_TIMEOUT)
        return code

    assert act(story) == 2150858843
    assert server.system.files.stat("C:/done.txt") is None


# --- power ------------------------------------------------------------------------------------------------------------


def test_the_door_goes_with_the_power_and_comes_back_with_the_system(act: Act, server: WindowsMachine) -> None:
    async def story(client: Client) -> tuple[str, tuple[int, str, str], int | None]:
        shell = await client.shell()
        server.power_off()
        seen = ""
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as fresh:
                await fresh.get(URL)
        except httpx.TransportError as error:
            seen = type(error).__name__
        server.power_on()
        await server.wait_booted()
        again = Client()
        async with again.http:
            return seen, await again.run("hostname"), fault_code(await again.command(shell, "ver"))

    seen, answer, old = act(story)
    assert seen in ("ConnectTimeout", "ConnectError")
    assert answer == (0, "target\r\n", "")
    assert old == 2150858843


def test_the_door_is_no_service_of_the_machine(act: Act) -> None:
    code, output, _ = act(lambda client: client.run("net start"))
    assert code == 0
    assert "Remote Management" not in output
