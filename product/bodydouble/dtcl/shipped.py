"""The scripts that come with the product."""

from __future__ import annotations

from importlib.resources import files

from bodydouble.errors import InputError

SUFFIX = ".dtcl"


def names() -> list[str]:
    """What there is."""
    directory = files("bodydouble.dtcl") / "examples"
    return sorted(each.name.removesuffix(SUFFIX) for each in directory.iterdir() if each.name.endswith(SUFFIX))


def example(name: str) -> str:
    """One script's text.

    Raises:
        InputError: there is none of that name.
    """
    if name not in names():
        raise InputError(f"no example {name!r}; there are: {', '.join(names())}")
    return (files("bodydouble.dtcl") / "examples" / f"{name}{SUFFIX}").read_text("utf-8")
