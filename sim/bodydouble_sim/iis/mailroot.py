r"""The mailroot directory: where the SMTP service keeps messages, and how they move without a loss.

Source: KB 250040: Badmail, Drop, Pickup, Queue and SortTemp beneath ``\Inetpub\Mailroot``. A file appears in Queue,
Drop or Badmail under its name only once its bytes are on the disk: it is written and flushed in SortTemp and then
renamed, so that no power cut leaves half a message there. Delivering a message again (the power went between the copy
in Drop and the end of the one in Queue) makes the same file again: Drop names are made from Queue names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import smtp_envelope

if TYPE_CHECKING:
    from bodydouble_sim.iis.smtp_envelope import Envelope
    from bodydouble_sim.windows.system import WindowsSystem

DIRECTORIES = ("Badmail", "Drop", "Pickup", "Queue", "SortTemp")
_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in 100 ns since 1601
_PREFIX = "NTFS_"


class Mailroot:
    """The files of one SMTP site.

    Args:
        system: the machine.
        root: the mailroot directory, product form.
    """

    def __init__(self, system: WindowsSystem, root: str) -> None:
        self._system = system
        self._files = system.files
        self.root = root
        self._count = 0

    def prepare(self) -> None:
        """Make missing directories; drop what a crash left half-written in SortTemp.

        Raises:
            FileSystemError: the drive refuses.
        """
        for name in DIRECTORIES:
            self._system.make_directories(f"{self.root}/{name}")
        for entry in self._files.list(f"{self.root}/SortTemp"):
            if not entry.directory:
                self._files.remove(entry.path)

    # --- Queue ------------------------------------------------------------------------------------------------------

    def accept(self, envelope: Envelope, message: bytes) -> str:
        """Put a message into Queue; it survives a power cut once this returns.

        Returns:
            Its name there.

        Raises:
            FileSystemError: it could not be written; nothing of it is in Queue.
        """
        name = self._fresh()
        self._publish(f"Queue/{name}", smtp_envelope.encode(envelope, message))
        return name

    def queued(self) -> list[str]:
        """The names in Queue, oldest first."""
        entries = self._files.list(f"{self.root}/Queue")
        names = [entry.path.rpartition("/")[2] for entry in entries if not entry.directory]
        return sorted(name for name in names if name.upper().endswith(".EML"))

    def load(self, name: str) -> tuple[Envelope, bytes] | None:
        """A queued message; None when the file cannot be understood.

        Raises:
            FileSystemError: it is gone, or cannot be read.
        """
        return smtp_envelope.decode(self._files.read(f"{self.root}/Queue/{name}"))

    def narrow(self, name: str, envelope: Envelope, message: bytes) -> None:
        """Replace a queued message's envelope, as some of its recipients are served.

        Raises:
            FileSystemError: it could not be written; the file is as before.
        """
        self._publish(f"Queue/{name}", smtp_envelope.encode(envelope, message))

    def forget(self, name: str) -> None:
        """Take a message that has been dealt with out of Queue."""
        self._files.remove(f"{self.root}/Queue/{name}")

    # --- the ways out -----------------------------------------------------------------------------------------------

    def drop(self, name: str, envelope: Envelope, message: bytes) -> None:
        """Deliver to the local domain: one file for all its recipients, for the server's own programs to read.

        Raises:
            FileSystemError: it could not be written.
        """
        self._publish(f"Drop/{name.removeprefix(_PREFIX)}", smtp_envelope.encode(envelope, message))

    def reject(self, name: str, data: bytes, reason: str) -> None:
        """Put a message that can neither be delivered nor returned into Badmail, with the reason beside it.

        Source: KB 250040; the ``.BAD`` file is the message, the ``.BDR`` file says why.

        Raises:
            FileSystemError: it could not be written.
        """
        stem = name.removeprefix(_PREFIX).rpartition(".")[0] or name
        self._publish(f"Badmail/{stem}.BAD", data)
        text = f"Unable to deliver this message because the following error was encountered: {reason}\r\n"
        self._publish(f"Badmail/{stem}.BDR", text.encode("latin-1", "replace"))

    def set_aside(self, name: str, reason: str) -> None:
        """`reject` a file of Queue that cannot be understood, and take it out.

        Raises:
            FileSystemError: it could not be read or written.
        """
        self.reject(name, self._files.read(f"{self.root}/Queue/{name}"), reason)
        self.forget(name)

    # --- Pickup -----------------------------------------------------------------------------------------------------

    def waiting(self) -> list[tuple[str, int, int]]:
        """Files in Pickup as (name, size, time of the last write)."""
        entries = self._files.list(f"{self.root}/Pickup")
        return [(e.path.rpartition("/")[2], e.size, e.mtime_ns) for e in entries if not e.directory]

    def picked(self, name: str) -> bytes:
        """The bytes of a file in Pickup.

        Raises:
            FileSystemError: it is gone, or cannot be read.
        """
        return self._files.read(f"{self.root}/Pickup/{name}")

    def clear(self, name: str) -> None:
        """Remove a file from Pickup.

        Raises:
            FileSystemError: it is gone, or read-only.
        """
        self._files.remove(f"{self.root}/Pickup/{name}")

    # --- how files come about ---------------------------------------------------------------------------------------

    def _fresh(self) -> str:
        """A name from time and count; one that is there already (the clock was set back) is passed over."""
        while True:
            self._count += 1
            stamp = _FILETIME_EPOCH + self._system.clock() // 100
            plain = f"{stamp:016x}{self._count & 0xFFFFFFFF:08x}.EML"
            places = (f"{self.root}/Queue/{_PREFIX}{plain}", f"{self.root}/Drop/{plain}")
            if all(self._files.stat(place) is None for place in places):
                return _PREFIX + plain

    def _publish(self, place: str, data: bytes) -> None:
        target = f"{self.root}/{place}"
        temporary = f"{self.root}/SortTemp/{place.rpartition('/')[2]}"
        try:
            self._system.write_file(temporary, data, durable=True)
            self._files.rename(temporary, target)
            self._files.flush(target)  # the name, on a file system that does not journal it
        except FileSystemError:
            if self._files.stat(temporary) is not None:
                self._files.remove(temporary)
            raise
