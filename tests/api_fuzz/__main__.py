"""The control API against its own description: ``python -m tests.api_fuzz`` (``make api-fuzz``).

Every operation, 300 allowed requests and 300 that are not, to a daemon on a simulated machine. A wrong answer is
printed with the request; the same ``--seed`` repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time

import click
from tests.api_fuzz.campaign import Campaign
from tests.api_fuzz.machine import Machine


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.api_fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="of each operation, allowed and not (300)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (1)")
    parser.add_argument("--only", default="", help="operations whose name has this in it")
    parser.add_argument("--times", action="store_true", help="print how long each operation took")
    chosen = parser.parse_args(arguments)
    machine = Machine(chosen.seed)
    campaign = Campaign(machine, chosen.examples, chosen.seed)
    defects = 0
    for name, operation in campaign.operations():
        if chosen.only not in name:
            continue
        began = time.monotonic()
        try:
            campaign.ask(name, operation)
        except (Exception, BaseExceptionGroup) as defect:  # noqa: BLE001 - whatever it is, it is a defect
            defects += 1
            click.echo(f"\n{name}: {defect}\n" + "".join(machine.raised[-1:]))
        machine.raised.clear()
        if chosen.times:
            click.echo(f"{time.monotonic() - began:6.1f} s {name}")
        click.echo(f"\r{campaign.answered.total()} requests", nl=False, err=True)
    machine.close()
    click.echo(err=True)
    statuses = {
        status: sum(n for (_, found), n in campaign.answered.items() if found == status)
        for _, status in campaign.answered
    }
    click.echo(f"{campaign.answered.total()} requests, {defects} defects: {dict(sorted(statuses.items()))}")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
