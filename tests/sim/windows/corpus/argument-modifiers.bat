@rem Shows: quotes off, and the parts of a path; removing quotes is new in 2000
@rem Source: help text of call (Windows 2000)
@echo off
call :show "C:\t\some file.txt"
goto :eof
:show
echo f=%~f1
echo d=%~d1 p=%~p1 n=%~n1 x=%~x1 dp=%~dp1 nx=%~nx1
echo bare=%~1
