@rem Shows: texts by number
@rem Source: net helpmsg
@echo off
net helpmsg 5
net helpmsg 2182
net helpmsg 99999
echo %errorlevel%
net helpmsg x
echo %errorlevel%
