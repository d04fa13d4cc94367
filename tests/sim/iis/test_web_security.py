"""Who may see a page: anonymous access, Basic, addresses, access flags and access lists."""

from __future__ import annotations

import ftplib
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import FTP_ROOT, ROOT, ROOT_KEY, Site, accounts, files, page, run, web_service

from bodydouble_sim.iis.web_security import TOKEN_LIFETIME
from bodydouble_sim.storage.sharing import Share
from bodydouble_sim.windows.version import NT_4

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour


@behaviour("reference/windows-iis.md, Names: IUSR_<name> is made at set-up and valid after a rename")
def test_anonymous_requests_run_as_iusr_of_the_set_up_name(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        files(either).allow(f"{ROOT}/default.htm", "read", "IUSR_TARGET")
        seen = [(await site.http.get("/")).status_code]
        site.system.names.set_active("OTHER")
        return [*seen, (await site.http.get("/")).status_code]

    assert run(either, work) == [200, 200]


@behaviour("KB 909887 (and IIS documentation, 401.1): another password in the metabase than the account's")
def test_an_anonymous_account_that_cannot_log_on_is_401_1(either: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        accounts(site.system).set_password("IUSR_TARGET", "another one")
        return await site.http.get("/")

    answer = run(either, work)
    assert (answer.status_code, answer.reason_phrase) == (401, "Access Denied")
    assert b"401.1" in answer.content


@behaviour("KB 152526: user tokens are cached for 15 minutes")
def test_a_logon_is_remembered_for_15_minutes(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        seen = [(await site.http.get("/")).status_code]
        accounts(site.system).set_password("IUSR_TARGET", "another one")
        seen.append((await site.http.get("/")).status_code)
        tokens = web_service(site.system).handler.logons._tokens
        for key, (until, identity) in list(tokens.items()):
            tokens[key] = (until - TOKEN_LIFETIME, identity)
        return [*seen, (await site.http.get("/")).status_code]

    assert run(system, work) == [200, 200, 401]


@behaviour("IIS documentation, Custom Error Messages (401.2): the schemes that the server offers are listed")
def test_without_anonymous_access_the_schemes_are_offered_with_401_2(either: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        site.set(ROOT_KEY, AuthFlags=2 | 4)
        return await site.http.get("/")

    answer = run(either, work)
    assert b"401.2" in answer.content
    negotiate = [] if either.version.is_nt4 else ["Negotiate"]
    assert answer.headers.get_list("www-authenticate") == [*negotiate, "NTLM", 'Basic realm="127.0.0.1"']


@behaviour("RFC 2617, 2; IIS documentation, 401.1 Logon failed")
def test_basic_authentication_checks_the_accounts_password(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        accounts(site.system).add("clerk", "s3cret")
        site.set(ROOT_KEY, AuthFlags=2, Realm="shop")
        credentials = [("clerk", "s3cret"), ("clerk", "wrong"), ("nobody", ""), ("DOMAIN\\clerk", "s3cret")]
        return [(await site.http.get("/", auth=pair)).status_code for pair in credentials]

    assert run(either, work) == [200, 401, 401, 200]


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic Og==", "Basic //79"])
def test_credentials_that_are_none_are_401(system: WindowsSystem, header: str) -> None:
    async def work(site: Site) -> int:
        site.set(ROOT_KEY, AuthFlags=2)
        return (await site.http.get("/", headers={"Authorization": header})).status_code

    assert run(system, work) == 401


@behaviour("IIS SDK, Multiple Authentication Schemes Selected; the NTLM handshake is not modelled")
def test_an_ntlm_handshake_is_refused_with_the_list_of_schemes(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        site.set(ROOT_KEY, AuthFlags=4 | 2)
        return await site.http.get("/", headers={"Authorization": "NTLM TlRMTVNTUAABAAAA"})

    answer = run(system, work)
    assert answer.status_code == 401
    assert "NTLM" in answer.headers.get_list("www-authenticate")


@behaviour("IIS SDK, Multiple Authentication Schemes Selected: refused as IUSR_, the client may try another scheme")
def test_a_file_that_iusr_may_not_read_is_401_3_and_another_account_gets_it(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        accounts(site.system).add("clerk", "s3cret")
        site.set(ROOT_KEY, AuthFlags=1 | 2)
        files(either).allow(page(site, "/private.txt", b"private"), "read", "clerk")
        return [await site.http.get("/private.txt", auth=auth) for auth in (None, ("clerk", "s3cret"))]

    anonymous, clerk = run(either, work)
    assert anonymous.status_code == 401
    assert b"401.3" in anonymous.content
    assert anonymous.headers["www-authenticate"] == 'Basic realm="127.0.0.1"'
    assert clerk.content == b"private"


@behaviour("KB 248043: 403.6, IP address rejected")
@pytest.mark.parametrize(
    ("granted", "listed", "status"),
    [
        (True, [], 200),
        (True, ["127.0.0.1"], 403),
        (True, ["127.0.0.0,255.0.0.0"], 403),
        (True, ["10.0.0.0,255.0.0.0", "nonsense"], 200),
        (False, [], 403),
        (False, ["127.0.0.0,255.255.255.0"], 200),
    ],
)
def test_addresses_are_granted_or_denied_with_exceptions(
    either: WindowsSystem, granted: bool, listed: list[str], status: int
) -> None:
    async def work(site: Site) -> httpx.Response:
        site.set("W3SVC/1", GrantByDefault=granted, IPDeny=listed, IPGrant=listed)
        return await site.http.get("/")

    answer = run(either, work)
    assert answer.status_code == status
    assert (b"403.6" in answer.content) == (status == 403)


@behaviour("IIS SDK, AccessFlags (Read); Custom Error Messages (403.2)")
def test_without_read_a_page_is_403_2(either: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set(ROOT_KEY, AccessRead=False)
        return (await site.http.get("/")).content

    assert b"403.2" in run(either, work)


@behaviour("IIS SDK, AccessFlags are inherited by directories and files unless they have their own")
def test_access_flags_of_a_single_file_count(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        page(site, "/records/secret.txt", b"x")
        page(site, "/records/open.txt", b"x")
        site.set(f"{ROOT_KEY}/records/secret.txt", AccessFlags=0)
        return [(await site.http.get(f"/records/{name}.txt")).status_code for name in ("secret", "open")]

    assert run(system, work) == [403, 200]


@behaviour("IIS SDK, AccessFlags (Script); Custom Error Messages (403.1)")
def test_a_script_without_script_access_is_403_1(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        page(site, "/x.asp", b"plain text")
        seen = [await site.http.get("/x.asp")]
        site.set(ROOT_KEY, AccessScript=False)
        return [*seen, await site.http.get("/x.asp")]

    ran, refused = run(either, work)
    assert ran.content == b"plain text"
    assert b"403.1" in refused.content


@behaviour("IIS SDK, AccessFlags (Execute): programs run only with it; without, the file is sent")
def test_a_program_is_sent_unless_execute_is_set_and_then_not_run_by_this_model(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        page(site, "/tool.exe", b"MZ")
        seen = [(await site.http.get("/tool.exe")).status_code]
        site.set(ROOT_KEY, AccessExecute=True)
        return [*seen, (await site.http.get("/tool.exe")).status_code]

    assert run(system, work) == [200, 500]


@behaviour("[MS-WDVSE], Translate header; Windows IT Pro, The Truth About Web-Based Permissions (script source access)")
def test_a_scripts_text_is_shown_only_with_source_access(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[tuple[int, str]]:
        page(site, "/x.asp", b"<html>text</html>")
        seen = [await site.http.get("/x.asp", headers={"Translate": "f"})]
        site.set(ROOT_KEY, AccessSource=True)
        seen.append(await site.http.get("/x.asp", headers={"Translate": "f"}))
        return [(answer.status_code, answer.headers["content-type"]) for answer in seen]

    assert run(system, work) == [(403, "text/html"), (200, "text/plain")]


@behaviour("IIS documentation, 401.3; NTFS permissions of the file itself count (cacls)")
def test_a_file_whose_ntfs_permissions_leave_iusr_out_is_401_3(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        accounts(site.system).add("clerk", "s3cret")
        site.set(ROOT_KEY, AuthFlags=1 | 2)
        path = page(site, "/private.txt", b"private")
        denied = await site.system.command(f"cacls {path.replace('/', chr(92))} /g clerk:R", answers=["y"])
        assert denied.exit_code == 0, denied.output
        answers = [await site.http.get("/private.txt", auth=auth) for auth in (None, ("clerk", "s3cret"))]
        return [answer.status_code for answer in answers]

    assert run(either, work) == [401, 200]


def test_a_file_that_is_in_use_is_a_server_error(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        path = page(site, "/busy.txt", b"busy")
        held = site.system.files.hold(path, share=Share(0))
        seen = [
            (await site.http.get("/busy.txt")).status_code,
            (await site.http.put("/busy.txt", content=b"x")).status_code,
        ]
        held.release()
        return [*seen, (await site.http.get("/busy.txt")).status_code]

    assert run(either, work) == [500, 500 if either.version.is_nt4 else 423, 200]


@behaviour("KB 179148: settings of a long name count for its 8.3 alias as well (Service Pack 6 of Windows NT 4.0)")
@pytest.mark.parametrize(
    "path", ["/LONGDI~1/x.txt", "/long directory./x.txt", "/long directory /x.txt", "/ /long directory/x.txt"]
)
def test_a_directorys_settings_count_however_its_name_is_written(either: WindowsSystem, path: str) -> None:
    async def work(site: Site) -> int:
        page(site, "/long directory/x.txt", b"for the staff")
        site.set(f"{ROOT_KEY}/long directory", AuthFlags=2)
        return (await site.http.get(path)).status_code

    assert run(either, work) == 401


@behaviour("KB 179148: before Service Pack 6 of Windows NT 4.0 an 8.3 alias led past the settings of the long name")
def test_an_8_3_alias_leads_past_a_directorys_settings_before_service_pack_6(
    build: Callable[..., WindowsSystem],
) -> None:
    async def work(site: Site) -> list[int]:
        page(site, "/long directory/x.txt", b"for the staff")
        site.set(f"{ROOT_KEY}/long directory", AuthFlags=2)
        return [(await site.http.get(path)).status_code for path in ("/LONGDI~1/x.txt", "/long directory/x.txt")]

    assert run(build(NT_4, 5), work) == [200, 401]


def test_a_directory_of_ftp_is_as_its_settings_say_however_its_name_is_written(system: WindowsSystem) -> None:
    def client(ftp: ftplib.FTP) -> list[str]:
        ftp.login()
        return [ftp.sendcmd(f"SIZE {path}")[:3] for path in ("/open/x.txt", "/OPENDI~1/x.txt")]

    async def work(site: Site) -> list[str]:
        for directory in ("open", "open directory"):
            site.system.make_directories(f"C:/InetPub/ftproot/{directory}")
            site.system.write_file(f"C:/InetPub/ftproot/{directory}/x.txt", b"x")
        site.set(f"{FTP_ROOT}/open directory", AccessFlags=0)
        with pytest.raises(ftplib.error_perm):
            await site.ftp(client)
        site.set(f"{FTP_ROOT}/open directory", AccessFlags=1)
        return await site.ftp(client)

    assert run(system, work) == ["213", "213"]
