"""The Windows 2000 system: registry, names, services, command interpreter; `machine` puts it on a simulated machine."""
