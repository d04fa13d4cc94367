"""Lists, at the end of a run, each group of tests that this machine could not run, with its reason."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bodydouble.adapters.fuse.program import EXECUTABLE

FILTER = Path(__file__).parent.parent / "product/filter"
ROOT_REASON = "needs root on Linux (namespaces, raw sockets, mounts)"
FUSE_REASON = "needs /dev/fuse and the filter program, that is a C compiler (ci/bootstrap as root installs one)"


def pytest_configure() -> None:
    """Let no test fail because the machine is busy; test the filter program as its sources are now."""
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As shells start jobs in the background: the daemons of tests would inherit it, and none could be interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    newest = max(path.stat().st_mtime for path in FILTER.iterdir())
    if sys.platform == "linux" and (not EXECUTABLE.exists() or EXECUTABLE.stat().st_mtime < newest):
        subprocess.run([FILTER / "build", EXECUTABLE], check=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often `tests/sim/storage/test_power_cuts.py` takes the power from each kind of volume."""
    parser.addoption("--power-cuts", type=int, default=300, help="seeded power cuts for each kind of volume")


def of_the_machine(item: pytest.Item) -> bool:
    """Whether a test uses mounts, namespaces or processes of this machine, which others of that kind would count."""
    return any(item.get_closest_marker(name) for name in ("root", "fuse"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a machine that this one is not, with the reason; keep together what must not run side by side.

    What uses the machine begins first: it mostly waits, for minutes, while other processes have work to do.
    """
    items.sort(key=lambda item: not of_the_machine(item))
    for item in items:
        item.add_marker(pytest.mark.xdist_group("machine" if of_the_machine(item) else item.path.name))
        if item.get_closest_marker("root") and (sys.platform != "linux" or os.geteuid() != 0):
            item.add_marker(pytest.mark.skip(reason=ROOT_REASON))
        elif item.get_closest_marker("fuse") and not (Path("/dev/fuse").exists() and EXECUTABLE.exists()):
            item.add_marker(pytest.mark.skip(reason=FUSE_REASON))
        elif marker := item.get_closest_marker("program"):
            missing = [name for name in marker.args if shutil.which(name) is None]
            if missing:
                item.add_marker(
                    pytest.mark.skip(reason=f"needs {', '.join(missing)} (ci/bootstrap as root installs it)")
                )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the skipped groups, each once, with how many tests it hides."""
    groups: Counter[tuple[str, str]] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        group = "/".join(Path(report.nodeid.split("::")[0]).parts[1:-1])
        groups[group, reason.removeprefix("Skipped: ")] += 1
    if groups:
        terminalreporter.section("not run on this machine")
    for (group, reason), count in sorted(groups.items()):
        terminalreporter.write_line(f"{group}: {count} skipped: {reason}")
