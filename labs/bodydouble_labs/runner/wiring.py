"""Which hosts have power, a cable and the product: what the operator did, written down for everybody to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble_labs.history import PowerSpan

if TYPE_CHECKING:
    from bodydouble_labs.providers.base import Stage


class Wiring:
    """The state of every server's plugs. All servers begin switched on and connected."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._spans: dict[str, int] = {}
        self._unplugged: dict[str, bool] = {}
        self._installed: dict[str, bool] = {}
        self._unhealed: dict[str, bool] = {}
        for name in stage.hosts:
            self.switched_on(name)

    def powered(self, name: str) -> bool:
        """Whether a host has power."""
        return name in self._spans

    def all_powered(self) -> bool:
        """Whether every host has power."""
        return all(name in self._spans for name in self._stage.hosts)

    def reachable(self, name: str) -> bool:
        """Whether a host's daemon should answer on the network."""
        return self.powered(name) and self.connected(name) and self._installed.get(name, False)

    def connected(self, name: str) -> bool:
        """Whether a host's cable is plugged."""
        return not self._unplugged.get(name, False)

    def switched_on(self, name: str) -> None:
        """A host has power from now on."""
        self._spans[name] = len(self._stage.history.power)
        self._stage.history.power.append(PowerSpan(name, self._stage.elapsed(), None))

    def switched_off(self, name: str) -> None:
        """A host has no power from now on."""
        index = self._spans.pop(name, None)
        if index is not None:
            power = self._stage.history.power
            power[index] = msgspec.structs.replace(power[index], until=self._stage.elapsed())

    def plugged(self, name: str, *, connected: bool) -> None:
        """A host's cable was plugged or pulled."""
        self._unplugged[name] = not connected

    def installed(self, name: str) -> None:
        """A host has the product."""
        self._installed[name] = True

    def lost_power(self, name: str) -> None:
        """A host's power failed: it has to be seen answering again."""
        self._unhealed[name] = True

    def to_be_seen_again(self, name: str) -> bool:
        """Whether a host that had failed is back on the network and nobody has seen it answer yet."""
        return self._unhealed.get(name, False) and self.powered(name) and self.connected(name)

    def seen_again(self, name: str) -> None:
        """A host that had failed answers again."""
        self._unhealed[name] = False
