@rem Shows: ver of each release, prompt, path, vol
@rem Source: help texts of ver, prompt, path and vol
@echo off
ver
prompt $N$G
echo on
@echo shown
rem seen
@echo off
path C:\bin
path
vol C: | find /v "Serial"
vol Z:
color 11
echo %errorlevel%
