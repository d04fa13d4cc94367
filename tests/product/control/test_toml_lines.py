from __future__ import annotations

import pytest

from bodydouble.cli.toml_lines import Key, line_of

TEXT = """# a comment with port = 1
state = "x"
control.port = 7

[host . filter]   # how changes are seen
"kind" = "fuse"
roots = [
  "/srv/www",
]

[[host.services]]
name = "one"
[[host.services]]
name = "two"
stop = ["a"]
[host.services.more]
name = "deep"
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("state",), 2),
        (("control", "port"), 3),
        (("host", "filter"), 5),
        (("host", "filter", "kind"), 6),
        (("host", "filter", "roots", 0), 7),
        (("host", "filter", "missing"), 5),
        (("host", "services"), 11),
        (("host", "services", 0, "name"), 12),
        (("host", "services", 1), 13),
        (("host", "services", 1, "name"), 14),
        (("host", "services", 1, "stop", 0), 15),
        (("host", "services", "more", "name"), 17),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_a_key_is_found_on_its_line_and_what_has_none_on_that_of_its_table(key: Key, line: int) -> None:
    assert line_of(TEXT, key) == line
