"""The ``netns`` host body: each host is network, UTS, mount and pid namespaces on this Linux machine.

- The lab's process leaves for network and mount namespaces of its own before its event loop starts, and is the client
  there. A bridge is the wire (`wire`); a tmpfs on ``/mnt`` holds the hosts' drives. All of it is anonymous: when
  the last process is gone, by Ctrl-C or by ``kill -9``, the kernel removes the rest.
- A host is the small init of `init` as pid 1, beneath it the real ``bodydouble daemon`` with its FUSE filter and the
  live Windows body with IIS on real sockets and files.

Capabilities: power off, power on, reboot, cable, console commands, snapshots beside the product, samples of the
replica. Not in this body: single operations (`bodydouble_labs.history.History.order_checked` stays 0), determinism
(no trace hash), drives other than C:, and **loss of un-flushed data**: a killed host's page cache survives in the
kernel, so a power cut here ends every process and silences the wire, but keeps each byte that was written. A scenario
in which the target loses its power asks just that and is skipped.

Needs root on Linux, ``/dev/fuse``, util-linux (as of Debian 12), the filter program and the extra ``linux``; see
`requirements`.
"""

from __future__ import annotations

from bodydouble_labs.providers.netns.provider import NetnsProvider

__all__ = ["NetnsProvider"]
