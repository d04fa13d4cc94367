"""Simulated machines, networks and Windows systems in virtual time."""
