"""What the site holds: seeded pages and numbered, checksummed records, so that answers can be judged by their bytes."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_labs.scenario.model import Scenario, SiteSpec

FILLER_LINE = 64


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the site: its path on the server, its path in a URL, and its bytes."""

    windows_path: str
    url_path: str
    body: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


class SiteContent:
    """The static pages of a scenario's site, and the bytes of any record that a writer may upload to it."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._site: SiteSpec = scenario.site
        (name,) = scenario.protections
        # Sites of one run differ in every page: an answer of another one's site is wrong content.
        self._seed = f"{seed}:{name}" if name else str(seed)
        self.pages = [self._page(number) for number in range(scenario.site.pages)]

    def record(self, writer: str, number: int, size: int) -> Document:
        """Record ``number`` of ``writer``: the same bytes for the same seed, whoever asks and whenever."""
        key = f"{writer}-{number:06d}"
        body = _text(f"{self._seed}:record:{key}", f"record {key}\r\n", size)
        return Document(f"{self.records_directory}\\{key}.txt", f"/{self._site.records}/{key}.txt", body)

    @property
    def records_directory(self) -> str:
        """The Windows path of the directory that takes the uploads."""
        return f"{self._site.root}\\{self._site.records}"

    def _page(self, number: int) -> Document:
        name = f"page-{number:05d}.htm"
        body = _text(f"{self._seed}:page:{number}", f"<html><body>Page {number}<pre>\r\n", self._site.page_bytes)
        return Document(f"{self._site.root}\\{name}", f"/{name}", body)


def _text(seed: str, heading: str, size: int) -> bytes:
    """``size`` bytes: the heading, then seeded filler in lines, cut where the size ends."""
    head = heading.encode()[:size]
    digits = random.Random(seed).randbytes((size + 1) // 2).hex()  # noqa: S311 - seeded on purpose
    lines = [digits[start : start + FILLER_LINE] for start in range(0, len(digits), FILLER_LINE)]
    return (head + "\r\n".join(lines).encode())[:size]
