"""``script``: samples of the scripts that a monitor runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bodydouble.cli import output
from bodydouble.cli.session import Group, Session, examples, pass_session
from bodydouble.errors import InputError
from bodydouble.profiles.catalog import PROFILES, find_profile
from bodydouble.profiles.samples import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.profiles.profile import ScriptEvent
    from bodydouble.profiles.samples import Sample

_EXECUTABLE = 0o755


@click.group(cls=Group, epilog=examples("bodydouble script sample iis5 --source WEB1 --output scripts/"))
def script() -> None:
    """Scripts that a monitor runs at failover and failback."""


@script.command(
    "sample",
    epilog=examples(
        "bodydouble script sample iis4 --event post-failover --source WEB1 --output POSTOVER.BAT",
        "bodydouble script sample iis5 --source WEB1 --service W3SVC --service SMTPSVC --output scripts/",
        "bodydouble script sample nginx --event pre-failback --service php8.2-fpm --service nginx",
    ),
)
@click.argument("profile", type=click.Choice(list(PROFILES)))
@click.option(
    "--event",
    type=click.Choice(["post-failover", "pre-failback"]),
    help="When it runs; without it, both are written into the directory --output.",
)
@click.option("--source", default="", metavar="NAME", help="The source's name, which the services run under.")
@click.option("--directory", default="", help="Where chngname (on Linux: bodydouble) lies on the target.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="Exactly these services, by short or display name, and those they need; without it, the usual ones.",
)
@click.option("--output", "place", type=click.Path(path_type=Path), help="File to write, or a directory.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@pass_session
def sample_command(
    session: Session,
    *,
    profile: str,
    event: ScriptEvent | None,
    source: str,
    directory: str,
    services: Sequence[str],
    place: Path | None,
    force: bool,
) -> None:
    """Print or write the script that starts (post-failover) or stops (pre-failback) the services of PROFILE."""
    into_directory = place is not None and place.is_dir()
    if event is None and not into_directory:
        raise InputError("--event: expected post-failover or pre-failback; without it, --output has to be a directory")
    events: list[ScriptEvent] = ["post-failover", "pre-failback"] if event is None else [event]
    made = [
        sample(find_profile(profile), each, source=source, directory=directory, services=services) for each in events
    ]
    if place is not None:
        _write({place / each.file if into_directory else place: each for each in made}, force=force)
    elif session.json:
        output.print_json(made[0])
    else:
        click.echo(made[0].text, nl=False)


def _write(files: dict[Path, Sample], *, force: bool) -> None:
    there = [path for path in files if path.exists()]
    if there and not force:
        raise InputError(f"{there[0]}: is there already; move it away, or say --force to replace it")
    for path, each in files.items():
        try:
            path.write_bytes(each.encode())
            if not each.windows:
                path.chmod(_EXECUTABLE)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
        click.echo(f"{path}: written", err=True)
