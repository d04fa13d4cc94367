@rem Shows: what cannot be computed says why and changes nothing
@rem Source: help text of set (Windows 2000)
@echo off
set n=5
set /a n=1/0
set /a n=(1+2
set /a n=08
set /a n=4294967296*2
set /a n=3 +
echo %n%
