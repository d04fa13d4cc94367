@rem Shows: exit /b ends the batch file and sets the errorlevel; on NT 4.0 exit knows no switch
@rem Source: help text of exit (Windows 2000)
@echo off
call :sub
echo %errorlevel%
exit /b 4
:sub
exit /b 7
