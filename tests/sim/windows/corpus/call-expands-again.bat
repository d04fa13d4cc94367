@rem Shows: call expands percent signs once more
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
set name=value
set which=name
call echo %%%which%%%
