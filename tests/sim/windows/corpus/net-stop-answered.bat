@rem Shows: the operator says no, then yes
@rem Source: net helpmsg; reference/windows-iis.md, "Services"
@rem Answers: n|y
@echo off
net start W3SVC >nul
net stop IISADMIN
echo %errorlevel%
net stop IISADMIN
echo %errorlevel%
