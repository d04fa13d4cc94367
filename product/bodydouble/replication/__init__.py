"""Replication sets, mirror, and the ordered stream of operations from a source to a target."""
