@rem Shows: a stop with dependents asks; without a console there is no answer
@rem Source: net helpmsg; reference/windows-iis.md, "Services"
@echo off
net start W3SVC >nul
net stop "IIS Admin Service"
echo %errorlevel%
net stop "IIS Admin Service" /y
echo %errorlevel%
