@rem Shows: the lines of a file: comments, empty lines, skip, tokens, delimiters
@rem Source: help text of for (Windows 2000)
@echo off
md C:\w
echo ; a comment>C:\w\f.txt
echo.>>C:\w\f.txt
echo web1,10.0.0.1,C:\InetPub>>C:\w\f.txt
echo web2,10.0.0.2,D:\InetPub and more>>C:\w\f.txt
for /f "tokens=1-3 delims=," %%a in (C:\w\f.txt) do echo %%a at %%b in %%c
for /f "skip=3 tokens=2* delims=, " %%a in (C:\w\f.txt) do echo %%a / %%b
for /f %%a in (C:\w\none.txt) do echo never
echo %errorlevel%
