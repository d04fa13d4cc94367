"""The control API: what operators, consoles and the lab say to a running daemon over HTTP."""
