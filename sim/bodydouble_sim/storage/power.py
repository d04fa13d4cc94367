"""What the write cache of a disk loses with the power.

Fault model: the pages that wait in the cache are on their way to the platter when the power goes. As drawn, either
they were written in the order in which they became dirty, up to some point (*prefix*; the page under the head is torn
between two sectors), or any of them were (*subset*; each kept, lost or torn), or they were written in order and the
drive stopped in the middle of a sector (*torn sector*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from bodydouble_sim.storage.content import FileContent

_Page = tuple["FileContent", int]


def lose_pages(contents: Iterable[FileContent], stream: random.Random, now: int) -> int:
    """Leave a legal subset of what was not flushed.

    Args:
        contents: files with pages in the cache.
        stream: draws which.
        now: when (ns).

    Returns:
        The number of sectors whose new bytes did not survive.
    """
    waiting = [(since, content, page) for content in contents for page, since in content.pending(now)]
    waiting.sort(key=lambda item: item[0])
    pages = [(content, page) for _, content, page in waiting]
    if not pages:
        return 0
    mode = stream.choice(("prefix", "subset", "torn sector"))
    if mode == "subset":
        return sum(_lose_page(content, page, stream) for content, page in pages)
    return _lose_from(pages, stream.randint(0, len(pages)), stream, torn=mode == "torn sector")


def _lose_from(pages: list[_Page], cut: int, stream: random.Random, *, torn: bool) -> int:
    for content, page in pages[:cut]:
        content.keep(page)
    if cut == len(pages):
        return 0
    content, page = pages[cut]
    lost = content.lose(page, stream, torn=torn)
    return lost + sum(content.lose(page) for content, page in pages[cut + 1 :])


def _lose_page(content: FileContent, page: int, stream: random.Random) -> int:
    fate = stream.choice(("kept", "lost", "torn"))
    if fate == "kept":
        return content.keep(page)
    return content.lose(page, stream if fate == "torn" else None)
