"""Whether a source's replication service answers: the other kind of heartbeat, beside ICMP.

What answers must show, in TLS, the certificate that is pinned for the source. Nothing is said after that: the source
sees a connection of its target that ends at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import PairingError
from bodydouble.replication.protocol import PROTOCOL
from bodydouble.security.tls import certificate_of

if TYPE_CHECKING:
    from bodydouble.security.trust import Trust


class ServiceHeartbeat:
    """Asks the replication services of paired sources whether they answer.

    Args:
        trust: who is paired.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def check_paired(self, source: str) -> None:
        """Check that the machine whose answers are to count is known.

        Raises:
            PairingError: this machine is not paired with it as a source.
        """
        if not any(_is(peer.name, source) and "source" in peer.roles for peer in self._trust.peers()):
            raise PairingError(
                f"{source!r} is not paired with this machine as a source of it, so that its replication service could "
                "not be told from another one: pair them, or use heartbeat 'icmp'"
            )

    async def answers(self, source: str, address: str, port: int, limit: float) -> bool:
        """Whether the replication service of ``source`` answers at ``address`` within ``limit`` seconds.

        Raises:
            PairingError: this machine is not paired with it: silence would accuse the source instead.
        """
        self.check_paired(source)
        try:
            async with asyncio.timeout(limit):
                _, writer = await asyncio.open_connection(
                    address, port, ssl=self._trust.towards("source", PROTOCOL), server_hostname=""
                )
        except (TimeoutError, OSError):  # also what TLS refuses: another machine's certificate
            return False
        try:
            peer = self._trust.find(certificate_of(writer.get_extra_info("ssl_object")))
            return peer is not None and _is(peer.name, source)
        finally:
            writer.transport.abort()


def _is(name: str, source: str) -> bool:
    return name.casefold() == source.casefold()
