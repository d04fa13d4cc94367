"""What the daemon keeps on disk: its state and its events log."""
