"""The `FileSystem` port over POSIX calls: a thread pool, one hop for each batch, never through a symbolic link."""
