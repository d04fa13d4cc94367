"""Monitoring of sources, failover of their identity to this machine, and failback."""
