@rem Shows: an unknown command: text and errorlevel
@rem Source: zzz.buzz, file not found errors in cmd.exe; NT 4.0's text and its 9009 are this model's choice
@echo off
nonsense /x
echo %errorlevel%
C:\none\program
echo %errorlevel%
C:\t\program
echo %errorlevel%
