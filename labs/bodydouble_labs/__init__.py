"""The failover lab: scenarios, faults and verdicts."""
