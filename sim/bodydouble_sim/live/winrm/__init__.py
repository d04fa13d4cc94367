"""WS-Management (WinRM) as a remote door: pywinrm and winrs run commands on a simulated host.

Windows NT 4.0 and 2000 never had WinRM, which came with Windows Server 2003 R2: this door is the lab's, not the
machine's. It is no service of the machine, so ``net start`` does not list it and nothing stops it but the power.
It speaks the part of [MS-WSMV] that a text-based command shell needs: Create, Command, Send, Receive, Signal, Delete,
with Basic authentication over plain HTTP, for loopback and the lab's own networks.
"""
