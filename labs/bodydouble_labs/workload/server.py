"""How clients reach the site: by the source's address, or by its computer name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_labs.workload.outcomes import UnresolvedError

if TYPE_CHECKING:
    from bodydouble_labs.providers.base import Stage

HTTP_PORT = 80
FTP_PORT = 21


@dataclass(frozen=True, slots=True)
class Server:
    """The site as clients know it: one address, one name, well-known ports."""

    stage: Stage
    address: str
    computer_name: str
    http_port: int = HTTP_PORT
    ftp_port: int = FTP_PORT

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.stage.elapsed()

    async def find(self, via: str) -> tuple[str, str]:
        """What to call the server, and the address that it has now.

        Raises:
            UnresolvedError: nobody answers for the name.
        """
        if via == "address":
            return self.address, self.address
        try:
            return self.computer_name, await self.stage.resolve(self.computer_name)
        except TimeoutError:
            raise
        except OSError as error:
            raise UnresolvedError(str(error) or f"nobody answers for {self.computer_name}") from error
