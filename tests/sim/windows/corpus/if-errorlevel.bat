@rem Shows: errorlevel means at least
@rem Source: help text of if (Windows 2000)
@echo off
C:\DoubleTake\chngname >nul
if errorlevel 3 echo three
if errorlevel 2 echo two
if errorlevel 1 echo one
if not errorlevel 1 echo none
if errorlevel -1 echo always
