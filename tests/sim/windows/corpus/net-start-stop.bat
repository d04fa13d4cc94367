@rem Shows: starting, starting again, stopping, stopping again, unknown names
@rem Source: net helpmsg; reference/windows-iis.md, "Services"
@echo off
net start W3SVC
echo %errorlevel%
net start "World Wide Web Publishing Service"
echo %errorlevel%
net stop w3svc
echo %errorlevel%
net stop w3svc
echo %errorlevel%
net start nonsense
echo %errorlevel%
net stop
echo %errorlevel%
