@rem Shows: setting, showing and removing variables; names know no case
@rem Source: help text of set (Windows 2000)
@echo off
set Colour=blue
echo %COLOUR% %colour%
set colour
set colour=
set colour
echo level %errorlevel%
echo [%colour%]
