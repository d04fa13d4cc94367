"""The simulated network: segments, adapters, ARP, IPv4, ICMP, UDP, TCP and NetBIOS names."""
