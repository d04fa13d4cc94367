"""cmd.exe: reading lines, expanding variables, parsing, and running what was parsed."""
