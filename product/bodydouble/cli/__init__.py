"""The `bodydouble` command."""
