"""Build hook: compiles the filter program (``product/filter``) into the package, where there is a C compiler.

Without one the distribution installs all the same; the filter then says what to install when it is asked for.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "product/bodydouble/adapters/fuse/bodydouble-filter"


class FilterProgramHook(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is the builder's own business
    """Runs ``product/filter/build`` before a wheel or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling; ``version`` is "editable" or "standard"."""
        if sys.platform != "linux" or self.target_name != "wheel":
            return
        output = Path(self.root, PROGRAM)
        subprocess.run([Path(self.root, "product/filter/build"), output], check=True)  # noqa: S603 - our own script
        if output.exists() and version != "editable":
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"  # the program is the platform's, and no Python's
            build_data["force_include"][str(output)] = PROGRAM.removeprefix("product/")
