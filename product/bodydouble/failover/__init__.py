"""Monitors, failover of name and addresses to this target, and failback."""
