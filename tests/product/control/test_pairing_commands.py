from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.peers import credential_of
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served

from bodydouble.cli import pairing as commands
from bodydouble.cli.known import KnownDaemons, local_daemon
from bodydouble.cli.main import cli
from bodydouble.errors import InputError, PairingError
from bodydouble.security.certificate import fingerprint_of
from bodydouble.vocabulary.records import AcceptRequest, OfferStatus, Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

OWN = fingerprint_of(CERTIFICATE)
OTHER = credential_of("SOMEBODY ELSE").certificate


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, as somebody with a token types it at a console that knows no daemon."""
    monkeypatch.setattr(commands, "POLL", 0.01)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "token").write_text(TOKEN)
    environment = {"BODYDOUBLE_PORT": str(served.port), "BODYDOUBLE_TOKEN_FILE": str(tmp_path / "token")}
    return lambda *arguments, **options: CliRunner().invoke(
        cli, arguments, env=environment, catch_exceptions=False, **options
    )


def known(tmp_path: Path) -> KnownDaemons:
    return KnownDaemons(tmp_path / "config" / "bodydouble" / "known-daemons")


# --- the first use ----------------------------------------------------------------------------------------------------


def test_an_unknown_daemon_is_sent_nothing_and_the_way_on_is_told(run: Callable[..., Result], served: Served) -> None:
    result = run("status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert OWN in result.stderr
    assert f"--port {served.port} trust --pin" in result.stderr


def test_a_daemon_that_was_trusted_by_its_fingerprint_is_known_from_then_on(
    run: Callable[..., Result], served: Served, tmp_path: Path
) -> None:
    assert run("trust", "--pin", OWN.upper()).exit_code == 0
    assert run("pair", "list", "--json").exit_code == 0
    assert f"127.0.0.1:{served.port}" in run("trust", "--list").stdout
    assert known(tmp_path).find("127.0.0.1", served.port) == CERTIFICATE
    assert (tmp_path / "config" / "bodydouble" / "known-daemons").stat().st_mode & 0o077 == 0
    assert run("trust", "--forget").exit_code == 0
    assert run("status").exit_code == 2
    assert "is not trusted" in run("trust", "--forget").stderr


def test_a_fingerprint_that_is_not_the_daemons_is_refused_and_not_kept(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    for arguments in (["--pin", fingerprint_of(OTHER), "status"], ["trust", "--pin", fingerprint_of(OTHER)]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "nothing was sent" in result.stderr
    assert known(tmp_path).all() == {}
    assert "is no fingerprint" in run("--pin", "abc", "status").stderr


def test_trust_without_a_fingerprint_asks_and_believes_only_a_yes(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is not known here" in run("trust").stderr, "nobody can be asked"
    monkeypatch.setattr("bodydouble.cli.pairing._can_ask", lambda: True)
    refused = run("trust", input="n\n")
    assert refused.exit_code == 1
    assert OWN in refused.stderr
    assert known(tmp_path).all() == {}
    assert run("trust", input="y\n").exit_code == 0
    assert run("status").exit_code == 0


def test_a_daemon_that_shows_another_certificate_than_before_is_not_spoken_to(
    run: Callable[..., Result], served: Served, tmp_path: Path
) -> None:
    known(tmp_path).keep("127.0.0.1", served.port, OTHER)
    result = run("status")
    assert result.exit_code == 1
    assert "does not show the certificate that was trusted" in result.stderr
    assert "trust --forget" in result.stderr


@pytest.mark.parametrize("line", ["nonsense", "host:1 !!!", "host:1 AAAA", "host:1"])
def test_a_damaged_list_of_known_daemons_is_named_with_its_line(
    run: Callable[..., Result], tmp_path: Path, line: str
) -> None:
    known(tmp_path).keep("other", 1, CERTIFICATE)
    with known(tmp_path).path.open("a") as file:
        file.write(line + "\n")
    result = run("status")
    assert result.exit_code == 2
    assert "known-daemons: line 2" in result.stderr


# --- the daemon of this machine ---------------------------------------------------------------------------------------


def configured(served: Served, tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()

    async def copy() -> bytes:
        return await served.target.host.file_system.read("/state/certificate.json", 0, 100_000)

    (state / "certificate.json").write_bytes(asyncio.run(copy()))
    config = tmp_path / "daemon.toml"
    config.write_text(
        f'state_directory = "{state}"\n[control]\ntoken_file = "token"\naddress = "0.0.0.0"\nport = {served.port}\n'
    )
    return config


def test_a_local_daemon_is_found_and_recognised_by_its_configuration(
    served: Served, tmp_path: Path, run: Callable[..., Result]
) -> None:
    config = configured(served, tmp_path)
    result = CliRunner().invoke(cli, ["--config", str(config), "status", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert TOKEN not in repr(local_daemon(config))
    assert run("status").exit_code == 2, "what --config says is not kept"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda tmp: (tmp / "state" / "certificate.json").unlink(), "has this daemon ever been started"),
        (lambda tmp: (tmp / "state" / "certificate.json").write_text("{"), "cannot read the daemon's certificate"),
        (lambda tmp: (tmp / "daemon.toml").write_text("[control"), "not valid TOML"),
        (lambda tmp: (tmp / "daemon.toml").write_text('[control]\ntoken = "x"'), "state_directory"),
        (lambda tmp: (tmp / "token").unlink(), "cannot read the token"),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_is_wrong_with_a_configuration_is_told(
    served: Served, tmp_path: Path, break_it: Callable[[Path], object], said: str
) -> None:
    config = configured(served, tmp_path)
    break_it(tmp_path)
    result = CliRunner().invoke(cli, ["--config", str(config), "status"], catch_exceptions=False)
    assert result.exit_code == 2
    assert said in result.stderr


# --- pairing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(run: Callable[..., Result]) -> Callable[..., Result]:
    assert run("trust", "--pin", OWN).exit_code == 0
    return run


def test_an_offer_shows_its_code_once(trusted: Callable[..., Result], served: Served) -> None:
    result = trusted("pair", "offer", "--role", "source", "--minutes", "3")
    assert served.pairing._offer is not None
    assert result.stdout == f"Code: {served.pairing._offer.code}\n"
    assert served.pairing._offer.roles == ("source",)
    made = json.loads(trusted("pair", "offer", "--json").stdout)
    assert made["code"] == served.pairing._offer.code
    assert trusted("pair", "offer", "--minutes", "61").exit_code == 2


def test_waiting_for_an_offer_ends_with_it(
    trusted: Callable[..., Result], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["open", "open", "used", "open", "expired"]
    monkeypatch.setattr(served.pairing, "status", lambda: OfferStatus(state=states.pop(0), peer="WEB1"))  # type: ignore[arg-type]
    assert "The code was used by WEB1" in trusted("pair", "offer", "--wait").stdout
    ended = trusted("pair", "offer", "--wait")
    assert (ended.exit_code, states) == (1, [])
    assert "nobody was paired: the offer is expired" in ended.stderr


def test_accepting_shows_who_was_paired_and_a_slip_is_noticed_at_the_console(
    trusted: Callable[..., Result], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[AcceptRequest] = []

    async def accept(request: AcceptRequest) -> Peer:
        asked.append(request)
        if request.host == "nobody":
            raise PairingError("no pairing with nobody")
        return Peer(name="WEB2", fingerprint=OWN, roles=request.roles, state="paired", since=served.target.clock.now())

    monkeypatch.setattr(served.pairing, "accept", accept)
    code = trusted("pair", "offer").stdout.split()[-1]
    assert "WEB2" in trusted("pair", "accept", "web2", code).stdout
    assert trusted("pair", "accept", "web2", input=f"{code.lower()}\n").exit_code == 0
    assert {request.code for request in asked} == {code}
    slip = code[:-1] + ("0" if code[-1] != "0" else "1")
    assert "was not tried" in trusted("pair", "accept", "web2", slip).stderr
    assert len(asked) == 2
    failed = trusted("pair", "accept", "nobody", code)
    assert (failed.exit_code, failed.stderr) == (1, "bodydouble: no pairing with nobody\n")


def test_peers_are_listed_and_removed(trusted: Callable[..., Result], served: Served) -> None:
    async def pin() -> None:
        await served.trust.pin("WEB2", OTHER, ("source",))

    asyncio.run(pin())
    listed = trusted("pair", "list").stdout
    assert listed.startswith(f"This machine: {OWN}\n")
    assert "source of ours" in listed
    assert "unfinished" in listed
    assert fingerprint_of(OTHER) in listed
    assert trusted("pair", "remove", "web2").exit_code == 0
    assert served.trust.peers() == []
    missing = trusted("pair", "remove", "WEB2")
    assert (missing.exit_code, missing.stderr) == (1, "bodydouble: no machine 'WEB2' is paired\n")


def test_a_place_is_one_place_in_any_case(tmp_path: Path) -> None:
    daemons = KnownDaemons(tmp_path / "known")
    daemons.keep("Target.Example", 1, CERTIFICATE)
    assert daemons.find("target.example", 1) == CERTIFICATE
    assert daemons.find("target.example", 2) is None
    with pytest.raises(InputError, match=r"cannot be (read|written)"):
        KnownDaemons(tmp_path / "known" / "below").keep("x", 1, CERTIFICATE)
