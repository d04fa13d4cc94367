"""One NNTP client of the NNTP service: RFC 977 and the reader's extensions of RFC 2980, in the words of Microsoft's.

Sources: RFC 977 (commands and codes), RFC 2980 (MODE READER, LISTGROUP, XOVER, XHDR, LIST with a keyword), RFC 3977
(DATE; the numbers of an empty group); the NNTP service's help, "Verify NNTP Service Availability with Telnet"
(greeting, 502 at the connection limit); KB 268785 (NEWNEWS and XOVER are served). 240 after POST is sent once the
article is durable in all its groups.

Not served: news feeds between servers (IHAVE is refused), AUTHINFO (everybody reads and posts as anonymous), XPAT.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import nntp_article
from bodydouble_sim.iis.line_reader import LineReader, LineTooLongError
from bodydouble_sim.iis.nntp_article import ArticleError
from bodydouble_sim.iis.wildmat import matches

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable

    from bodydouble_sim.iis.news_store import Group, NewsStore
    from bodydouble_sim.iis.nntp_article import Overview
    from bodydouble_sim.iis.nntp_posting import Posting

LONGEST_COMMAND = 1024
IDLE = 600.0
_CENTURY = 100
_PIVOT = 50


class NntpSession:
    """Talks to one client.

    Args:
        greeting: the service and its version, as the first line has them.
        store: the news.
        posting: takes articles.
        clock: nanoseconds since 1970 UTC.
        streams: the connection.
    """

    def __init__(
        self,
        greeting: str,
        store: NewsStore,
        posting: Posting,
        clock: Callable[[], int],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._greeting = greeting
        self._store = store
        self._posting = posting
        self._clock = clock
        self._lines = LineReader(streams[0], IDLE)
        self._writer = streams[1]
        self._client = str(self._writer.get_extra_info("peername")[0])
        self._group: Group | None = None
        self._current = 0
        self._posted = 0
        self._over = False
        self._verbs: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "ARTICLE": lambda words: self._show(words, 220, head=True, body=True),
            "BODY": lambda words: self._show(words, 222, head=False, body=True),
            "DATE": self._date,
            "GROUP": self._select,
            "HEAD": lambda words: self._show(words, 221, head=True, body=False),
            "HELP": self._help,
            "IHAVE": lambda _: self._say("435 article not wanted - do not send it"),
            "LAST": lambda _: self._step(-1),
            "LIST": self._list,
            "LISTGROUP": self._list_group,
            "MODE": self._mode,
            "NEWGROUPS": self._new_groups,
            "NEWNEWS": self._new_news,
            "NEXT": lambda _: self._step(1),
            "POST": self._post,
            "QUIT": self._quit,
            "SLAVE": lambda _: self._say("202 slave status noted"),
            "STAT": lambda words: self._show(words, 223, head=False, body=False),
            "XHDR": self._xhdr,
            "XOVER": self._xover,
        }

    async def run(self) -> None:
        """Greet, then obey until QUIT, silence or the end of the connection."""
        await self._say(self._welcome())
        while not self._over:
            try:
                line = await self._lines.command(LONGEST_COMMAND)
            except LineTooLongError:
                await self._say("501 Syntax Error in Command")
                continue
            except TimeoutError:
                await self._say("400 service discontinued - idle too long")
                return
            if line is None:
                return
            words = line.decode("latin-1").split()
            verb = words[0].upper() if words else ""
            if verb in self._verbs:
                await self._verbs[verb](words[1:])
            elif verb:
                await self._say("500 Command Not Recognized")

    def _welcome(self) -> str:
        return f"200 {self._greeting} Posting Allowed"

    async def _say(self, text: str) -> None:
        self._writer.write(f"{text}\r\n".encode("latin-1", "replace"))
        await self._writer.drain()

    async def _say_lines(self, first: str, lines: Iterable[str]) -> None:
        """A multi-line answer (RFC 977, 2.4.1): dots doubled, a lone dot at the end."""
        self._writer.write(f"{first}\r\n".encode("latin-1", "replace"))
        for line in lines:
            stuffed = f".{line}" if line.startswith(".") else line
            self._writer.write(f"{stuffed}\r\n".encode("latin-1", "replace"))
        self._writer.write(b".\r\n")
        await self._writer.drain()

    async def _mode(self, words: list[str]) -> None:
        known = words and words[0].upper() in ("READER", "STREAM")
        await self._say(self._welcome() if known and words[0].upper() == "READER" else "501 Syntax Error in Command")

    async def _help(self, _words: list[str]) -> None:
        await self._say_lines("100 Legal commands are :", [f"  {verb}" for verb in sorted(self._verbs)])

    async def _date(self, _words: list[str]) -> None:
        await self._say(f"111 {datetime.fromtimestamp(self._clock() // 10**9, UTC):%Y%m%d%H%M%S}")

    async def _quit(self, _words: list[str]) -> None:
        self._over = True
        await self._say("205 closing connection - goodbye!")

    # --- groups -----------------------------------------------------------------------------------------------------

    async def _select(self, words: list[str]) -> None:
        group = self._store.groups.get(words[0].lower()) if words else None
        if group is None:
            await self._say("411 no such newsgroup" if words else "501 Syntax Error in Command")
            return
        self._group, self._current = group, next(iter(group.articles), 0)
        await self._say(f"211 {len(group.articles)} {group.low} {group.high} {group.name}")

    async def _list_group(self, words: list[str]) -> None:
        group = self._store.groups.get(words[0].lower()) if words else self._group
        if group is None:
            await self._say("411 no such newsgroup" if words else "412 no newsgroup has been selected")
            return
        self._group, self._current = group, next(iter(group.articles), 0)
        await self._say_lines("211 list of article numbers follow", [str(number) for number in group.articles])

    async def _list(self, words: list[str]) -> None:
        kind = words[0].upper() if words else "ACTIVE"
        wanted = words[1].lower() if len(words) > 1 else "*"
        groups = [group for name, group in sorted(self._store.groups.items()) if matches(name, wanted)]
        if kind == "ACTIVE":
            await self._say_lines("215 list of newsgroups follow", [_active(group) for group in groups])
        elif kind == "ACTIVE.TIMES":
            lines = [f"{group.name} {group.created_ns // 10**9} nntpsvc" for group in groups]
            await self._say_lines("215 information follows", lines)
        elif kind == "NEWSGROUPS":
            await self._say_lines("215 descriptions follow", [f"{group.name}\t" for group in groups])
        elif kind == "OVERVIEW.FMT":
            fields = [f"{name}:" for name in (*nntp_article.OVERVIEW, "Bytes", "Lines")]
            await self._say_lines("215 order of fields in overview database", [*fields, "Xref:full"])
        else:
            await self._say("501 Syntax Error in Command")

    async def _new_groups(self, words: list[str]) -> None:
        since = _instant(words)
        if since is None:
            await self._say("501 Syntax Error in Command")
            return
        fresh = [group for _, group in sorted(self._store.groups.items()) if group.created_ns >= since]
        await self._say_lines("231 list of new newsgroups follows", [_active(group) for group in fresh])

    async def _new_news(self, words: list[str]) -> None:
        since = _instant(words[1:])
        if since is None:
            await self._say("501 Syntax Error in Command")
            return
        found = [
            group.articles[number].message_id
            for name, group in sorted(self._store.groups.items())
            if matches(name, words[0].lower())
            for number, arrived in group.arrived.items()
            if arrived >= since
        ]
        await self._say_lines("230 list of new articles by message-id follows", dict.fromkeys(found))

    # --- articles ---------------------------------------------------------------------------------------------------

    async def _show(self, words: list[str], code: int, *, head: bool, body: bool) -> None:
        found = await self._found(words)
        if found is None:
            return
        group, number, shown = found
        try:
            article = self._store.article(group.name, number)
        except FileSystemError:
            await self._say("430 no such article found")
            return
        if not words or words[0].isdigit():
            self._current = number
        await self._send_article(f"{code} {shown} {group.articles[number].message_id}", article, head=head, body=body)

    async def _send_article(self, first: str, article: bytes, *, head: bool, body: bool) -> None:
        top, rest = nntp_article.split(article)
        if not head and not body:
            await self._say(f"{first} article retrieved - request text separately")
            return
        text = (top if head else b"") + (b"\r\n" if head and body else b"") + (rest if body else b"")
        lines = text.decode("latin-1").removesuffix("\r\n").split("\r\n")
        await self._say_lines(first, lines)

    async def _found(self, words: list[str]) -> tuple[Group, int, int] | None:
        """The article that was meant, and the number to show (0 for one that was asked for by Message-ID)."""
        if words and words[0].startswith("<"):
            place = self._store.find(words[0])
            if place is None:
                await self._say("430 no such article found")
                return None
            return self._store.groups[place[0]], place[1], 0
        if self._group is None:
            await self._say("412 no newsgroup has been selected")
            return None
        number = int(words[0][:18]) if words and words[0].isascii() and words[0].isdigit() else self._current
        if words and not (words[0].isascii() and words[0].isdigit()):
            await self._say("501 Syntax Error in Command")
            return None
        if number not in self._group.articles:
            missing = (
                "423 no such article number in this group" if words else "420 no current article has been selected"
            )
            await self._say(missing)
            return None
        return self._group, number, number

    async def _step(self, way: int) -> None:
        if self._group is None:
            await self._say("412 no newsgroup selected")
            return
        if not self._current:
            await self._say("420 no current article has been selected")
            return
        numbers = [number for number in self._group.articles if (number - self._current) * way > 0]
        if not numbers:
            await self._say("421 no next article in this group" if way > 0 else "422 no previous article in this group")
            return
        self._current = numbers[0] if way > 0 else numbers[-1]
        message_id = self._group.articles[self._current].message_id
        await self._say(f"223 {self._current} {message_id} article retrieved - request text separately")

    # --- overview ---------------------------------------------------------------------------------------------------

    async def _xover(self, words: list[str]) -> None:
        found = await self._range(words[0] if words else "")
        if found is not None:
            await self._say_lines("224 overview data follows", [overview.line() for overview in found])

    async def _xhdr(self, words: list[str]) -> None:
        if not words:
            await self._say("501 Syntax Error in Command")
            return
        if len(words) > 1 and words[1].startswith("<"):
            place = self._store.find(words[1])
            if place is None:
                await self._say("430 no such article found")
                return
            lines = [f"{words[1]} {self._field(place[0], place[1], words[0])}"]
        else:
            found = await self._range(words[1] if len(words) > 1 else "")
            if found is None or self._group is None:
                return
            lines = [f"{one.number} {self._field(self._group.name, one.number, words[0])}" for one in found]
        await self._say_lines(f"221 {words[0]} fields follow", lines)

    def _field(self, group: str, number: int, name: str) -> str:
        try:
            headers = nntp_article.headers_of(self._store.article(group, number))
        except FileSystemError:
            return "(none)"
        return nntp_article.header(headers, name) or "(none)"

    async def _range(self, text: str) -> list[Overview] | None:
        if self._group is None:
            await self._say("412 no newsgroup has been selected")
            return None
        low, dash, high = text.partition("-")
        if not all(part == "" or (part.isascii() and part.isdigit()) for part in (low, high)) or (dash and not low):
            await self._say("501 Syntax Error in Command")
            return None
        first = int(low[:18]) if low else self._current
        last = int(high[:18]) if high else (self._group.high if dash else first)
        found = [overview for number, overview in self._group.articles.items() if first <= number <= last]
        if not found:
            await self._say("420 no article(s) selected")
            return None
        return found

    # --- posting ----------------------------------------------------------------------------------------------------

    async def _post(self, _words: list[str]) -> None:
        limits = self._posting.limits
        await self._say("340 Continue posting - Period on a line by itself to end")
        article, length = await self._lines.text(limits.article)
        self._posted += length
        if self._posted > limits.session:
            self._over = True
            await self._say("400 service discontinued - connection size limit exceeded")
        elif length > limits.article:
            await self._say("441 Article Rejected -- Article too large")
        else:
            await self._file(article)

    async def _file(self, article: bytes) -> None:
        try:
            self._posting.post(article, self._client)
        except ArticleError as error:
            await self._say(f"441 Article Rejected -- {error}")
        except FileSystemError as error:
            reason = "There is not enough space on the disk" if error.code == "no_space" else "Local error"
            await self._say(f"441 Article Rejected -- {reason}")
        else:
            await self._say("240 Article Posted OK")


def _active(group: Group) -> str:
    return f"{group.name} {group.high} {group.low} y"


def _instant(words: list[str]) -> int | None:
    """``[YY]YYMMDD HHMMSS [GMT]`` as ns since 1970 (RFC 977, 3.7: the nearest century); None when it is none."""
    if len(words) < 2 or not all(word.isascii() and word.isdigit() for word in words[:2]):  # noqa: PLR2004 - day, time
        return None
    day, time = words[0], words[1]
    if len(day) == 6:  # noqa: PLR2004 - a year of two digits
        day = ("20" if int(day[:2]) < _PIVOT else "19") + day
    try:
        moment = datetime.strptime(day + time, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 10**9
