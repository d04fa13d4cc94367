"""Profiles of applications that Bodydouble protects: what each one is, and the scripts that start and stop it."""
