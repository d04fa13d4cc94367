@rem Shows: find, findstr, sort and more
@rem Source: help texts of find, findstr, sort (Windows 2000)
@echo off
md C:\w
(echo pear& echo Apple& echo apple pie& echo cherry)>C:\w\f.txt
find "apple" C:\w\f.txt
find /i /c "apple" C:\w\f.txt
find /n "e" <C:\w\f.txt
findstr /i /r "^apple" C:\w\f.txt
findstr /c:"apple pie" C:\w\f.txt
findstr "cherry pear" C:\w\f.txt
find "zzz" C:\w\f.txt >nul
echo %errorlevel%
sort C:\w\f.txt
more <C:\w\f.txt | find /c /v ""
