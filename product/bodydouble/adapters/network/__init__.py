"""The `Identity` port on Linux: host name, addresses over netlink, ARP and NetBIOS names on the wire."""
