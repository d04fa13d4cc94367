"""What a news reader is told, what is on the disk, and what a power cut leaves of it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.iis_mail.host import NEWS, Host

from bodydouble_sim.iis import news_store, nntp_article
from bodydouble_sim.iis.nntp_posting import Limits
from bodydouble_sim.iis.wildmat import matches

if TYPE_CHECKING:
    from collections.abc import Coroutine

GROUP = "microsoft.public.ins"
PLACE = f"{NEWS}/root/microsoft/public/ins"
MULTI = (b"100", b"215", b"220", b"221", b"222", b"224", b"230", b"231")


class Reader:
    """A raw NNTP session."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = streams

    @classmethod
    async def open(cls, port: int) -> tuple[Reader, str]:
        made = cls(await asyncio.open_connection("127.0.0.1", port))
        return made, (await made.reader.readline()).decode().rstrip("\r\n")

    async def ask(self, line: str) -> list[str]:
        """The lines of an answer, a multi-line one without its lone dot."""
        self.writer.write(line.encode("latin-1") + b"\r\n")
        first = await self.reader.readline()
        lines = [first]
        if first[:3] in MULTI or (first.startswith(b"211") and line.upper().startswith("LISTGROUP")):
            while (more := await self.reader.readline()) != b".\r\n":
                lines.append(more)
        return [text.decode("latin-1").rstrip("\r\n") for text in lines]

    async def post(self, article: str) -> str:
        assert (await self.ask("POST"))[0].startswith("340")
        return (await self.ask(article.replace("\n", "\r\n") + "\r\n."))[0]

    async def close(self) -> None:
        assert (await self.ask("QUIT"))[0] == "205 closing connection - goodbye!"
        self.writer.close()
        await self.writer.wait_closed()


def article(subject: str, *, groups: str = GROUP, extra: str = "", body: str = "text") -> str:
    return f"From: Ann <ann@x>\nNewsgroups: {groups}\nSubject: {subject}\n{extra}\n{body}"


def session(host: Host, *lines: str, posts: tuple[str, ...] = (), **options: object) -> list[list[str]]:
    """Greeting, answers to posts, answers to lines."""

    async def run() -> list[list[str]]:
        async with host.serving_news(**options) as port:
            reader, greeting = await Reader.open(port)
            answers = [[greeting], *[[await reader.post(one)] for one in posts]]
            answers += [await reader.ask(line) for line in lines]
            await reader.close()
            return answers

    return asyncio.run(run())


@pytest.mark.behaviour("the NNTP service's help, Verify NNTP Service Availability with Telnet; RFC 977, 2.4.3: 200")
@pytest.mark.parametrize(("version", "software"), [("4.0", "Microsoft Internet Services 5.5"), ("5.0", "5.00.0984")])
def test_the_greeting_says_that_posting_is_allowed(host: Host, version: str, software: str) -> None:
    ((greeting,), mode) = session(host, "MODE READER", version=version)
    assert greeting.startswith(f"200 NNTP Service {software}")
    assert greeting.endswith("Posting Allowed")
    assert mode == [greeting]


@pytest.mark.behaviour("pages on the NNTP service's set-up: four groups are made")
def test_a_fresh_server_has_the_control_groups_and_a_sample_group(host: Host) -> None:
    _, groups = session(host, "LIST")
    assert groups == [
        "215 list of newsgroups follow",
        "control.cancel 0 1 y",
        "control.newgroup 0 1 y",
        "control.rmgroup 0 1 y",
        "microsoft.public.ins 0 1 y",
    ]


@pytest.mark.behaviour("the NNTP service's help, Directories and Files: a directory a name's part, .nws and .xix files")
def test_articles_are_files_in_the_groups_directory(host: Host) -> None:
    _, answer, _ = session(host, f"GROUP {GROUP}", posts=(article("one"),))
    assert answer == ["240 Article Posted OK"]
    assert host.names(PLACE) == ["1.nws", "1.xix"]
    text = host.system.files.read(f"{PLACE}/1.nws")
    assert text.startswith(b"From: Ann <ann@x>\r\n")
    assert b"\r\nXref: source microsoft.public.ins:1\r\n" in text
    assert b"\r\nNNTP-Posting-Host: 127.0.0.1\r\n" in text


@pytest.mark.behaviour("the NNTP service's help, Directories and Files: one .xix file for 128 articles")
def test_a_subject_file_lists_128_articles(host: Host) -> None:
    session(host, posts=tuple(article(str(number)) for number in range(130)))
    assert [name for name in host.names(PLACE) if name.endswith(".xix")] == ["1.xix", "129.xix"]


@pytest.mark.behaviour("RFC 977, 3.1: ARTICLE, HEAD, BODY and STAT by number and by Message-ID")
def test_an_article_comes_whole_or_in_parts(host: Host) -> None:
    post = article("dots", extra="Message-ID: <m1@x>\n", body=".hidden\n..\nend").replace("\n.", "\n..")
    _, _, _, whole, head, body, stat, by_id = session(
        host, f"GROUP {GROUP}", "ARTICLE 1", "HEAD", "BODY 1", "STAT", "ARTICLE <m1@x>", posts=(post,)
    )
    assert whole[0] == "220 1 <m1@x>"
    assert body == ["222 1 <m1@x>", "..hidden", "...", "end"]
    assert "Subject: dots" in head
    assert whole[1:] == [*head[1:], "", *body[1:]]
    assert stat == ["223 1 <m1@x> article retrieved - request text separately"]
    assert by_id[0] == "220 0 <m1@x>"
    assert by_id[1:] == whole[1:]


@pytest.mark.behaviour("RFC 977, 3.2, 3.5 and 3.9: GROUP, LAST and NEXT move the current article")
def test_the_current_article_moves_forth_and_back(host: Host) -> None:
    answers = session(
        host, *("NEXT", f"GROUP {GROUP}", "NEXT", "NEXT", "LAST", "LAST"), posts=(article("one"), article("two"))
    )[3:]
    assert [answer[0][:3] for answer in answers] == ["412", "211", "223", "421", "223", "422"]
    assert answers[1] == ["211 2 1 2 microsoft.public.ins"]


@pytest.mark.behaviour("RFC 977, 3.1.3 and 3.2.2: codes of what is not there")
def test_what_is_not_there_has_its_code(host: Host) -> None:
    lines = ("ARTICLE", "GROUP no.such", "ARTICLE <no@x>", f"GROUP {GROUP}", "ARTICLE", "ARTICLE 7", "WHAT", "GROUP")
    answers = session(host, *lines)[1:]
    assert [answer[0][:3] for answer in answers] == ["412", "411", "430", "211", "420", "423", "500", "501"]


@pytest.mark.behaviour("RFC 2980, 2.8 and 2.6; KB 268785: XOVER and XHDR")
def test_the_overview_tells_subject_author_size_and_references(host: Host) -> None:
    first = article("one", extra="Message-ID: <m1@x>\nDate: Mon, 02 Dec 2002 09:00:00 GMT\n")
    second = article("Re: one", extra="Message-ID: <m2@x>\nReferences: <m1@x>\n", body="a\nb")
    *_, over, subjects, one = session(
        host, f"GROUP {GROUP}", "XOVER 1-", "XHDR Subject 1-2", "XHDR references <m2@x>", posts=(first, second)
    )
    fields = over[1].split("\t")
    assert fields[:5] == ["1", "one", "Ann <ann@x>", "Mon, 02 Dec 2002 09:00:00 GMT", "<m1@x>"]
    assert int(fields[6]) == len(host.system.files.read(f"{PLACE}/1.nws"))
    assert over[2].split("\t")[5:6] == ["<m1@x>"]
    assert over[2].split("\t")[7] == "2"
    assert subjects[1:] == ["1 one", "2 Re: one"]
    assert one[1:] == ["<m2@x> <m1@x>"]


@pytest.mark.behaviour("RFC 977, 3.7 and 3.8; KB 268785: NEWGROUPS and NEWNEWS since an instant")
def test_what_is_new_since_an_instant(host: Host) -> None:
    answers = session(
        host,
        *("NEWNEWS * 021202 085959 GMT", "NEWNEWS *,!microsoft.* 20021202 085959", "NEWNEWS * 21021202 000000"),
        *("NEWGROUPS 020101 000000", "NEWGROUPS 991231 235959", "NEWGROUPS soon"),
        posts=(article("one", extra="Message-ID: <m1@x>\n"),),
    )[2:]
    assert [len(answer) - 1 for answer in answers[:5]] == [1, 0, 0, 4, 4]
    assert answers[0][1] == "<m1@x>"
    assert answers[5][0].startswith("501")


@pytest.mark.behaviour("RFC 3977, 7.1: DATE; RFC 2980, 2.1: LIST with a keyword")
def test_date_and_list_keywords(host: Host) -> None:
    answers = session(
        host, "DATE", "LIST OVERVIEW.FMT", "LIST ACTIVE control.*", "LIST NEWSGROUPS", "LIST WHAT", "HELP"
    )
    assert answers[1] == ["111 20021202090000"]
    assert answers[2][1:] == [
        "Subject:",
        "From:",
        "Date:",
        "Message-ID:",
        "References:",
        "Bytes:",
        "Lines:",
        "Xref:full",
    ]
    assert len(answers[3]) == 4
    assert answers[5][0].startswith("501")
    assert "  XOVER" in answers[6]


@pytest.mark.behaviour("RFC 1036, 2.1: From, Newsgroups and Subject; RFC 977, 3.10: 441")
@pytest.mark.parametrize(
    "post",
    [
        "Newsgroups: microsoft.public.ins\nSubject: s\n\nb",
        "From: a@b\nSubject: s\n\nb",
        "From: a@b\nNewsgroups: microsoft.public.ins\n\nb",
        "From: a@b\nNewsgroups: no.such.group\nSubject: s\n\nb",
        "From: a@b\nNewsgroups: microsoft.public.ins\nSubject: s\nMessage-ID: none\n\nb",
        "nonsense",
        "From: a@b\nNewsgroups: microsoft.public.ins\nSubject: s\nX: y\rXref: x microsoft.public.ins:999\n\nb",
    ],
)
def test_an_incomplete_article_is_441(host: Host, post: str) -> None:
    assert session(host, posts=(post,))[1][0].startswith("441 ")
    assert host.names(PLACE) == []


@pytest.mark.behaviour("RFC 1036, 2.1.5: a Message-ID is never used twice")
def test_a_message_id_is_taken_once(host: Host) -> None:
    twice = article("one", extra="Message-ID: <m1@x>\n")
    assert session(host, posts=(twice, twice))[2] == ["441 Article Rejected -- Duplicate Message ID"]


@pytest.mark.behaviour("the NNTP service's help, Settings: the largest article")
def test_an_article_beyond_the_limit_is_refused(host: Host) -> None:
    answers = session(host, posts=(article("big", body="x" * 3000), article("ok")), limits=Limits(article=2000))
    assert [answer[0][:3] for answer in answers[1:]] == ["441", "240"]


@pytest.mark.behaviour("the NNTP service's help, Verify NNTP Service Availability: 502 at the connection limit")
def test_a_session_beyond_the_limit_is_502(host: Host) -> None:
    async def run() -> str:
        async with host.serving_news(max_sessions=1) as port:
            first, _ = await Reader.open(port)
            second, refusal = await Reader.open(port)
            second.writer.close()
            await first.close()
            return refusal

    assert asyncio.run(run()) == "502 Connection Refused"


@pytest.mark.behaviour("Option Pack, Processing Control Messages: newgroup and rmgroup, approved, in their own groups")
def test_control_messages_make_and_remove_groups(host: Host) -> None:
    new = article("cmsg", groups="local.test", extra="Control: newgroup local.test\nApproved: ann@x\n")
    rude = article("cmsg", groups="local.other", extra="Control: newgroup local.other\n")
    gone = article("cmsg", groups="local.test", extra="Control: rmgroup local.test\nApproved: ann@x\n")
    answers = session(
        host,
        "GROUP control.newgroup",
        "GROUP local.test",
        posts=(rude, new, article("in it", groups="local.test"), gone),
    )
    assert [answer[0][:3] for answer in answers[1:]] == ["441", "240", "240", "240", "211", "411"]
    assert answers[5] == ["211 1 1 1 control.newgroup"]


@pytest.mark.behaviour("Option Pack, Processing Control Messages: cancel; RFC 1036, 3.1: by its author")
def test_an_author_cancels_an_article_and_its_number_stays_free(host: Host) -> None:
    first = article("one", extra="Message-ID: <m1@x>\n")
    other = article("c", extra="Control: cancel <m1@x>\n").replace("ann@x", "eve@x")
    cancel = article("c", extra="Control: cancel <m1@x>\n")
    answers = session(host, "ARTICLE <m1@x>", posts=(first, other, cancel))
    assert [answer[0][:3] for answer in answers[1:]] == ["240", "441", "240", "430"]
    assert session(host, f"GROUP {GROUP}", posts=(article("two"),))[-1] == [f"211 1 2 2 {GROUP}"]


@pytest.mark.behaviour("RFC 977, 3.10; RFC 1036, 2.1.3: an article in two groups is one article")
def test_a_crosspost_is_in_all_its_groups(host: Host) -> None:
    session(host, posts=(article("both", groups=f"{GROUP},control.cancel", extra="Message-ID: <m@x>\n"),))
    texts = [host.system.files.read(f"{place}/1.nws") for place in (PLACE, f"{NEWS}/root/control/cancel")]
    assert texts[0] == texts[1]
    assert b"Xref: source microsoft.public.ins:1 control.cancel:1" in texts[0]


# --- power ------------------------------------------------------------------------------------------------------------


def complete(steps: Coroutine[object, object, None]) -> None:
    asyncio.run(steps)


def cut_after_240(host: Host, seed: int) -> bool:
    """Whether an article that was acknowledged right before a power cut can be read after the next start."""

    async def post() -> None:
        async with host.serving_news() as port:
            reader, _ = await Reader.open(port)
            assert (await reader.post(article("kept", body="y" * 3000, extra="Message-ID: <m1@x>\n"))).startswith("240")
            host.volume.power_loss(random.Random(seed))
            kept.append(host.system.files.read(f"{NEWS}/group.lst"))
            reader.writer.close()

    kept: list[bytes] = []
    complete(post())
    host.system = host.installed()
    host.system.write_file(f"{NEWS}/group.lst", kept[0])  # as the cut left it, before the service ended in order
    answer = session(host, "BODY <m1@x>")[1]
    return answer[1:] == ["y" * 3000]


@pytest.mark.behaviour("RFC 977, 3.10.2: 240 means that the article has been posted")
@pytest.mark.parametrize("seed", range(100))
def test_an_acknowledged_article_survives_a_power_cut_right_after_240(seed: int) -> None:
    assert cut_after_240(Host(), seed)


def test_acknowledging_an_article_before_the_flush_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unflushed(news_store.NewsStore):
        def _file(self, group: news_store.Group, number: int, article: bytes, now: int) -> None:
            self._system.write_file(f"{self._place(group.name)}/{number}.nws", article)
            group.articles[number] = nntp_article.overview_of(number, article)
            group.arrived[number] = now

    monkeypatch.setattr("bodydouble_sim.iis.nntp_service.NewsStore", Unflushed)
    assert not all(cut_after_240(Host(), seed) for seed in range(10))


@pytest.mark.behaviour("the NNTP service's help, Directories and Files: a rebuild restores the service's own files")
def test_subject_files_that_a_power_cut_damaged_are_made_anew(host: Host) -> None:
    session(host, posts=(article("one"), article("two")))
    whole = host.system.files.read(f"{PLACE}/1.xix")
    for damage in (bytes(len(whole)), whole[:40], whole.replace(b"\t", b"\x00", 1), b""):
        host.system.write_file(f"{PLACE}/1.xix", damage)
        assert len(session(host, f"GROUP {GROUP}", "XOVER 1-")[2]) == 3
        assert host.system.files.read(f"{PLACE}/1.xix") == whole
    assert [entry.number for entry in host.system.event_log.entries if entry.source == "nntpsvc"] == [4000] * 4


def test_a_crosspost_that_was_cut_half_way_is_finished_and_a_cancelled_one_is_not(host: Host) -> None:
    both = article("both", groups=f"{GROUP},control.cancel", extra="Message-ID: <m@x>\n")
    session(host, posts=(both,))
    host.system.files.remove(f"{NEWS}/root/control/cancel/1.nws")
    host.system.files.remove(f"{NEWS}/group.lst")
    assert session(host, "GROUP control.cancel")[1] == ["211 1 1 1 control.cancel"]
    host.system.files.remove(f"{NEWS}/root/control/cancel/1.nws")
    assert session(host, "GROUP control.cancel")[1] == ["211 0 2 1 control.cancel"]


@pytest.mark.behaviour("RFC 977, 3.2: numbers of a group only grow")
def test_numbers_persist_over_restarts(host: Host) -> None:
    session(host, posts=(article("one"),))
    assert session(host, f"GROUP {GROUP}", posts=(article("two"),))[2] == [f"211 2 1 2 {GROUP}"]


# --- anything at all --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [
                    *(b"POST\r\n", b".\r\n", b"GROUP microsoft.public.ins\r\n", b"XOVER 1-\r\n", b"NEWNEWS * 1 2\r\n"),
                    *(b"XHDR\r\n", b"LIST ACTIVE [*\r\n", b"ARTICLE 99999999999999999999\r\n", b"ARTICLE <\xff>\r\n"),
                ]
            ),
        ),
        max_size=10,
    )
)
def test_random_bytes_never_crash_a_session(pieces: list[bytes]) -> None:
    host = Host()

    async def run() -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        async with host.serving_news() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(pieces))
            writer.write_eof()
            await reader.read()
            writer.close()
            again, _ = await Reader.open(port)
            await again.close()
        assert trouble == []

    asyncio.run(run())


@given(st.binary(max_size=300))
def test_every_article_has_one_overview_line_that_reads_back(body: bytes) -> None:
    text = (
        b"From: a\r\nSubject: " + body.replace(b"\r", b"").replace(b"\n", b"") + b"\r\nMessage-ID: <m@x>\r\n\r\n" + body
    )
    overview = nntp_article.overview_of(3, nntp_article.completed(text, {"Xref": "s g:3"}))
    line = overview.line().encode("latin-1", "replace").decode("latin-1")
    parsed = nntp_article.parsed(line)
    assert parsed is not None
    assert (parsed.number, parsed.size, parsed.message_id) == (3, overview.size, "<m@x>")


@given(st.text(alphabet="abc.*?!,[]-", max_size=30))
def test_patterns_of_groups_never_fail(pattern: str) -> None:
    matches("a.b.c", pattern)


@pytest.mark.behaviour("RFC 3977, 4.2: the last part of a pattern that fits decides")
def test_the_last_part_of_a_pattern_that_fits_decides() -> None:
    assert matches("comp.test", "*,!comp.*,comp.test")
    assert not matches("comp.other", "*,!comp.*,comp.test")
