"""Records of options: settings of a daemon that runs.

Source: Double-Take's guides, DTCL's ``set`` and ``get``.
"""

from __future__ import annotations

from bodydouble.vocabulary.records import Record

OptionData = str | int | float | list[str] | None


class DaemonOption(Record, frozen=True):
    """One option.

    Attributes:
        name: as in the configuration file, under ``[replication]``.
        value: in force now; None: no limit.
        changeable: it can be changed while the daemon runs.
    """

    name: str
    value: OptionData
    changeable: bool


class OptionValue(Record, frozen=True):
    """What an option is to be, as people write it; ``none``: no limit."""

    value: str
