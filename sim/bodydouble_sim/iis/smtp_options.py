"""What an SMTP site is configured to do.

Sources of the defaults: KB 303759 and "Messages" in the SMTP service's help (2,048 KB a message, 10,240 KB a session,
20 messages a connection, 100 recipients a message); TechNet cc757058 (retries after 15, 30, 60 and then every 240
minutes); the same help's "Delivery" (an undelivered message expires after two days); KB 310356 and the Option Pack's
"Removing Relay Restrictions from a Site" (nobody relays unless listed or authenticated).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_MINUTE = 60.0
_DAY = 24 * 3600.0
_KB = 1024


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """One SMTP site.

    Attributes:
        name: its fully qualified domain name: in the banner, and the default domain.
        root: the mailroot directory, product form.
        port: where it listens.
        enhanced: IIS 5.0: enhanced status codes (RFC 2034), PIPELINING and DSN are offered.
        version: its version, for the banner.
        local_domains: further domains whose mail goes to Drop.
        relay_from: addresses or networks (``10.0.0.0/24``) that may relay to other domains.
        smart_host: the server that gets all remote mail, a name or ``[address]``; empty: each domain's own.
        remote_port: where other servers listen.
        max_message: octets of one message.
        max_session: octets of all messages of one connection, after which it is closed.
        max_recipients: of one message.
        max_sessions: connections at a time.
        max_batch: messages sent over one outbound connection.
        retries: seconds between the first attempts; the last one repeats.
        expires: seconds after which an undelivered message is returned.
        max_hops: Received lines with which a message is taken for one that goes in circles (this model's figure).
        idle: seconds that a silent client is kept.
        pickup: seconds between two looks into Pickup (this model's figure; IIS is notified by the file system).
    """

    name: str
    root: str
    port: int = 25
    enhanced: bool = True
    version: str = "5.0.2195.1600"
    local_domains: tuple[str, ...] = ()
    relay_from: tuple[str, ...] = ()
    smart_host: str = ""
    remote_port: int = 25
    max_message: int = 2048 * _KB
    max_session: int = 10_240 * _KB
    max_recipients: int = 100
    max_sessions: int = 1000
    max_batch: int = 20
    retries: tuple[float, ...] = (15 * _MINUTE, 30 * _MINUTE, 60 * _MINUTE, 240 * _MINUTE)
    expires: float = 2 * _DAY
    max_hops: int = 15
    idle: float = 10 * _MINUTE
    pickup: float = 10.0

    def is_local(self, domain: str) -> bool:
        """Whether mail for ``domain`` is delivered to Drop; an address without a domain is the default domain's."""
        known = {self.name.lower(), *(name.lower() for name in self.local_domains)}
        return not domain or domain.lower() in known

    def may_relay(self, client: str) -> bool:
        """Whether ``client`` (its address) may send to domains that are not ours.

        Source: KB 310356: by default only those in the list, which is empty, and those that authenticate.
        """
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        return any(address in ipaddress.ip_network(allowed, strict=False) for allowed in self.relay_from)

    def retry_after(self, attempts: int) -> float:
        """Seconds until the next attempt after so many failed ones (at least 1)."""
        return self.retries[min(attempts, len(self.retries)) - 1]
