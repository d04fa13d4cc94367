@rem Shows: a disabled service does not start
@rem Source: net helpmsg; reference/windows-iis.md, "Services"
@echo off
sc config W3SVC start= disabled
net start W3SVC
echo %errorlevel%
