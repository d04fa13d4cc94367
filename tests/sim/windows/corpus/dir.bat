@rem Shows: the listing of each release
@rem Source: this model's choice, after listings of the time
@echo off
md C:\w\sub
echo hello>C:\w\a.txt
dir C:\w | find /v "bytes free" | find /v "Serial"
dir C:\w\*.none >nul
echo %errorlevel%
dir /b /ad C:\w
dir /b /o-n C:\w
