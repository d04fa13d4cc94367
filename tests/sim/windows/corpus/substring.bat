@rem Shows: a part of a value by position and length, from either end
@rem Source: help text of set (Windows 2000)
@echo off
set v=0123456789
echo %v:~3%
echo %v:~3,2%
echo %v:~-3%
echo %v:~0,-7%
echo %v:~-4,2%
echo [%v:~20%]
