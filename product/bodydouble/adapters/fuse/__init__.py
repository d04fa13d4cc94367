"""The `FileFilter` port over FUSE: a pass-through mount on top of the protected directory."""
