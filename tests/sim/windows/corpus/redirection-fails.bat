@rem Shows: a file that cannot be opened: the command does not run, the errorlevel stays
@rem Source: zzz.buzz, file not found errors in cmd.exe
@echo off
C:\DoubleTake\chngname >nul
echo never >C:\none\x.txt
echo %errorlevel%
sort <C:\none.txt
echo %errorlevel%
