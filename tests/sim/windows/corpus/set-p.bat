@rem Shows: set /p asks; NT 4.0 takes it for a name
@rem Source: help text of set (Windows 2000)
@rem Answers: Smith
@echo off
set /p name=Name? 
echo [%name%]
set /p none=Nothing? 
echo [%none%] %errorlevel%
