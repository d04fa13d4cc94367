@rem Shows: loops in loops see all variables
@rem Source: help text of for (Windows 2000)
@echo off
for %%a in (1 2) do for %%b in (x y) do echo %%a%%b
for %%i in (1 2) do (for /l %%j in (1,1,2) do (
echo %%i.%%j
))
