@rem Shows: a tree, and its exit codes; on NT 4.0 a missing file is 0
@rem Source: KB 120829
@echo off
md C:\w\a\b
md C:\w\empty
echo x>C:\w\x.txt
echo x>C:\w\a\b\y.txt
xcopy C:\w C:\v /s /i
if not exist C:\v\empty echo empty directories stay behind
xcopy C:\w C:\v /e /i /y /q
if exist C:\v\empty echo now it is there
xcopy C:\none.txt C:\v
echo %errorlevel%
xcopy
echo %errorlevel%
xcopy C:\w C:\w\a /s /i
xcopy C:\w\x.txt C:\new
echo %errorlevel%
