"""The `FileFilter` port over FUSE: the daemon's side of the filter program, whose sources are ``product/filter``."""
