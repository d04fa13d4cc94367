@rem Shows: accounts: adding, showing, disabling, deleting, and the errors
@rem Source: help text of net user; messages 2221 and 2224
@echo off
net user operator secret /add
net user operator other /add
net user
net user operator /active:no
net user operator
net localgroup Administrators operator /add
net localgroup Administrators
net user operator /delete
net user operator
echo %errorlevel%
net group
echo %errorlevel%
