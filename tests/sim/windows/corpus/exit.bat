@rem Shows: exit ends the interpreter, whatever called
@rem Source: help text of exit
@echo off
call :sub
echo never
:sub
exit 9
