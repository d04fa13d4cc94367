@rem Shows: an operator that is missing ends the batch file
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo before
if abc echo never
echo never
