@rem Shows: what 2000 computes at each use, and NT 4.0 does not know
@rem Source: help text of set (Windows 2000)
@echo off
cd C:\
echo [%cd%] [%date%]
if defined random echo random
set cd=mine
echo %cd%
