@rem Shows: each side of a pipe is an interpreter of its own: what it sets is lost
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
set v=1
set v=2| sort
echo %v%
cd C:\| sort
cd
