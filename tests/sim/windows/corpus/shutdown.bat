@rem Shows: the resource kit's shutdown asks, and can be aborted
@rem Source: Microsoft, Description of the Shutdown.exe Tool
@echo off
shutdown
echo %errorlevel%
shutdown /l /a
echo %errorlevel%
shutdown /l /r /t:30
echo %errorlevel%
