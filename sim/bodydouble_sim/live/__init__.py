"""The same Windows system and IIS on the real loop, with real sockets and real directories as drives."""
