"""``openapi``: the description of the control API, for other programs."""

from __future__ import annotations

import json

import click

from bodydouble.cli.session import Command, examples


@click.command(cls=Command, epilog=examples("bodydouble openapi > bodydouble.json"))
def openapi() -> None:
    """Print the OpenAPI 3.1 document of the control API; needs no daemon."""
    from bodydouble.control.api import description  # noqa: PLC0415 - brings the HTTP server's framework

    click.echo(json.dumps(description(), indent=2))
