"""Simulated storage: a disk with a write cache and the NTFS volume on it."""
