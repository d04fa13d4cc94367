"""Ports implemented on real hosts; imported only where a host is composed."""
