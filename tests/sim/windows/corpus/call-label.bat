@rem Shows: a subroutine has its own arguments and comes back
@rem Source: help text of call (Windows 2000)
@echo off
call :add 2 3
echo sum %sum%
call :add 4 5
echo sum %sum%
goto :eof
:add
set /a sum=%1+%2
echo adding %*
goto :eof
