"""Files and directories as a volume keeps them, and their attribute bits.

Source of the bits: Microsoft's "File Attribute Constants".
"""

from __future__ import annotations

from bodydouble.vocabulary.operations import Entry

READONLY, HIDDEN, SYSTEM, ARCHIVE = 1, 2, 4, 32
SPARSE, REPARSE, COMPRESSED = 0x200, 0x400, 0x800
SETTABLE = READONLY | HIDDEN | SYSTEM | ARCHIVE
"""What SetFileAttributes changes here; the other bits have calls of their own."""

EVERYONE_FULL_CONTROL = b"O:BAG:SYD:(A;OICI;FA;;;WD)"

Entries = list[Entry]
