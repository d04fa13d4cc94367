"""What becomes of an article that a client posts: a place in its groups, and control messages carried out.

Sources: RFC 1036 (headers, control messages); the Option Pack's "Processing Control Messages" (cancel, newgroup and
rmgroup are taken and filed in control.cancel, control.newgroup and control.rmgroup; newgroup and rmgroup must name who
approved them); the NNTP service's help, "Settings" (limits of an article and of a connection).
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr
from typing import TYPE_CHECKING

from bodydouble_sim.iis import nntp_article
from bodydouble_sim.iis.nntp_article import ArticleError
from bodydouble_sim.iis.smtp_report import date

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from bodydouble_sim.iis.news_store import NewsStore

_CONTROLS = ("cancel", "newgroup", "rmgroup")


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets of one article and of all that one connection posts."""

    article: int = 1000 * 1024
    session: int = 20 * 1024 * 1024


class Posting:
    """Takes articles into a store.

    Args:
        store: the news.
        server: this server's name, for Path, Xref and Message-ID.
        clock: nanoseconds since 1970 UTC.
        limits: what a client may post.
    """

    def __init__(self, store: NewsStore, server: str, clock: Callable[[], int], limits: Limits | None = None) -> None:
        self._store = store
        self._server = server
        self._clock = clock
        self._count = 0
        self.limits = limits or Limits()

    def post(self, article: bytes, client: str) -> None:
        """File an article; durable in all its groups once this returns.

        Args:
            article: head, empty line and body, lines ending in CR LF.
            client: the poster's address, for NNTP-Posting-Host.

        Raises:
            ArticleError: it cannot be posted.
            FileSystemError: the disk refuses.
        """
        headers = nntp_article.checked(article)
        identity = nntp_article.header(headers, "Message-ID") or self._fresh()
        if self._store.find(identity) is not None:
            raise ArticleError("Duplicate Message ID")
        verb, _, argument = nntp_article.header(headers, "Control").partition(" ")
        names = self._groups(headers, verb.lower())
        if verb:
            self._check_control(headers, verb.lower(), argument)
        stamped = nntp_article.completed(article, self._added(headers, identity, client))
        self._store.post(stamped, names, self._server)
        if verb:
            self._obey(verb.lower(), argument.strip())

    def _groups(self, headers: Message, control: str) -> list[str]:
        if control:
            if control not in _CONTROLS:
                raise ArticleError("Unknown control message")
            return [name for name in (f"control.{control}",) if name in self._store.groups] or self._named(headers)
        return self._named(headers)

    def _named(self, headers: Message) -> list[str]:
        names = [name for name in nntp_article.groups_of(headers) if name in self._store.groups]
        if not names:
            raise ArticleError("No valid newsgroups")
        return names

    def _added(self, headers: Message, identity: str, client: str) -> dict[str, str]:
        path = nntp_article.header(headers, "Path")
        return {
            "Message-ID": identity,
            "Date": nntp_article.header(headers, "Date") or date(self._clock()),
            "Path": f"{self._server}!{path}" if path else f"{self._server}!not-for-mail",
            "NNTP-Posting-Host": client,
        }

    def _fresh(self) -> str:
        """A Message-ID that nobody has: time and count tell articles of one server apart, also after a restart."""
        self._count += 1
        return f"<{self._clock():x}.{self._count:x}@{self._server}>"

    def _check_control(self, headers: Message, verb: str, argument: str) -> None:
        if verb == "cancel":
            self._check_cancel(headers, argument.strip())
        elif not nntp_article.header(headers, "Approved"):
            raise ArticleError("Missing field Approved")
        elif not nntp_article.is_group(_first(argument)) or _first(argument).startswith("control."):
            raise ArticleError("Bad newsgroup name")

    def _check_cancel(self, headers: Message, identity: str) -> None:
        """Only its author cancels an article (RFC 1036, 3.1: the same From, or Sender, as the article's)."""
        place = self._store.find(identity)
        if place is None:
            return
        author = parseaddr(self._store.groups[place[0]].articles[place[1]].headers[1])[1].lower()
        asking = [parseaddr(nntp_article.header(headers, name))[1].lower() for name in ("From", "Sender")]
        if author not in asking:
            raise ArticleError("The article was posted by somebody else")

    def _obey(self, verb: str, argument: str) -> None:
        if verb == "cancel":
            self._store.cancel(argument)
        elif verb == "newgroup":
            self._store.add_group(_first(argument))
        else:
            self._store.remove_group(_first(argument))


def _first(argument: str) -> str:
    words = argument.lower().split()
    return words[0] if words else ""
