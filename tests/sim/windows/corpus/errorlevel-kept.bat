@rem Shows: commands that succeed and leave the errorlevel alone, and those that clear it
@rem Source: Dave Benham's table of internal commands and the errorlevel (Stack Overflow)
@echo off
C:\DoubleTake\chngname >nul
echo kept
rem kept
set x=1
title kept
echo %errorlevel%
cd C:\
echo %errorlevel%
C:\DoubleTake\chngname >nul
ver >nul
echo %errorlevel%
