"""``python -m bodydouble_sim.live serve|command|batch|query``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one of the verbs; clients import next to nothing, because scripts call them often."""
    verb, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if verb == "serve":
        from bodydouble_sim.live.body import main as serve  # noqa: PLC0415 - clients start without it

        return serve(rest)
    from bodydouble_sim.live.client import main as client  # noqa: PLC0415 - as above

    return client(verb, rest)


if __name__ == "__main__":
    sys.exit(main())
