@rem Shows: counting up and down
@rem Source: help text of for (Windows 2000)
@echo off
for /l %%i in (1,1,3) do echo %%i
for /l %%i in (10,-5,0) do echo %%i
for /l %%i in (5,1,1) do echo never
