@rem Shows: del leaves 0 even when it fails
@rem Source: Dave Benham's table of internal commands and the errorlevel (Stack Overflow)
@echo off
C:\DoubleTake\chngname >nul
del C:\none.txt
echo %errorlevel%
del
echo %errorlevel%
