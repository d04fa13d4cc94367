@rem Shows: a called batch file comes back, one that is not called does not
@rem Source: help text of call (Windows 2000)
@echo off
echo @echo inner %%1>C:\w.bat
call C:\w.bat called
echo back
C:\w.bat not called
echo never
