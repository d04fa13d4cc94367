"""Journals: what was received or queued, kept on disk in order, in checksummed segments."""
