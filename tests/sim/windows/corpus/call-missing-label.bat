@rem Shows: a missing label is an error, and the file goes on
@rem Source: help text of call (Windows 2000)
@echo off
call :nowhere
echo %errorlevel%
