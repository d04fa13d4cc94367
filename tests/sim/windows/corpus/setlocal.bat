@rem Shows: variables and directory come back at endlocal, and at the end of a subroutine
@rem Source: help text of setlocal
@echo off
set v=outer
setlocal
set v=inner
cd \
echo %v%
endlocal
echo %v%
call :sub
echo %v%
goto :eof
:sub
setlocal
set v=sub
echo %v%
