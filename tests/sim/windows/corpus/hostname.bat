@rem Shows: the active name in small letters, and the variable of the session
@rem Source: reference/windows-iis.md, "Names"
@echo off
hostname
echo %COMPUTERNAME%
hostname x
