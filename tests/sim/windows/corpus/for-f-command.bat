@rem Shows: the output of a command, line by line
@rem Source: help text of for (Windows 2000)
@echo off
for /f "tokens=*" %%a in ('echo one^& echo two words') do echo [%%a]
for /f %%a in ('hostname') do set own=%%a
echo %own%
for /f "tokens=2 delims==" %%a in ("key=value") do echo %%a
