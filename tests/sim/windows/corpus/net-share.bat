@rem Shows: shares: adding, showing, deleting, and the errors
@rem Source: help text of net share; messages 2116, 2118, 2310
@echo off
md C:\data
net share data=C:\data /remark:"The data"
net share
net share data
net share data=C:\data
net share none=C:\none
net share data /delete
net share data /delete
echo %errorlevel%
