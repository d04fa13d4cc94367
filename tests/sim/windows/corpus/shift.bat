@rem Shows: shift moves arguments down; with a number those before it stay
@rem Source: help text of shift (Windows 2000)
@rem Arguments: a|b|c|d
@echo off
echo %1 %2 %3
shift
echo %1 %2 %3
shift /2
echo %1 %2 [%3]
echo %*
shift /x
echo %errorlevel%
