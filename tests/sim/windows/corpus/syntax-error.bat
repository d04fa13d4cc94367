@rem Shows: an operator where a command should be ends the batch file
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo before
& echo never
echo never
