"""Restoration: the stand-in's data back to the repaired source."""
