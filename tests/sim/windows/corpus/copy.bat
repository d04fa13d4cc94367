@rem Shows: one file, many, onto itself, to nothing
@rem Source: help text of copy (Windows 2000)
@echo off
md C:\w\d
echo one>C:\w\a.txt
echo two>C:\w\b.txt
copy C:\w\a.txt C:\w\c.txt
copy C:\w\*.txt C:\w\d
copy C:\w\a.txt C:\w\a.txt
copy C:\w\none.txt C:\w\x
echo %errorlevel%
copy C:\w\a.txt+C:\w\b.txt C:\w\both.txt
type C:\w\both.txt
copy C:\w\a.txt C:\w\d\*.bak
dir /b C:\w\d
copy C:\w\a.txt nul
