@rem Shows: exclamation marks are expanded when a command runs; 2000 has it, NT 4.0 not
@rem Source: help text of setlocal (Windows 2000)
@echo off
setlocal enabledelayedexpansion
echo level %errorlevel%
set n=1
for %%i in (1 2 3) do (
  set /a n+=1
  echo !n!
)
set text=one two
echo !text:two=2! !text:~0,3!
