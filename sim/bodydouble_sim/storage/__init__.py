"""Simulated storage: disks with a write cache and faults, NTFS and FAT volumes on them."""
