"""Bodydouble: ordered file replication from sources to a target, with failover of name and address."""

__all__ = ["__version__"]

__version__ = "0.1.0"
