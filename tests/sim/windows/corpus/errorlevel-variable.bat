@rem Shows: a variable of that name hides the real errorlevel
@rem Source: blogs.conchango.com, resetting errorlevel
@echo off
set errorlevel=0
nonsense 2>nul
echo %errorlevel%
if errorlevel 1 echo but it is set
