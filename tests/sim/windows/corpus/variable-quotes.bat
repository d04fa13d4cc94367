@rem Shows: quotes around the whole assignment are not part of it
@rem Source: help text of set (Windows 2000)
@echo off
set "a=one & two"
echo "%a%"
set b="x y"
echo %b%
