@rem Shows: words, quoted words, and files by wildcard
@rem Source: help text of for (Windows 2000)
@echo off
for %%i in (a "b c" d,e;f) do echo %%i
md C:\w
for %%n in (one.txt two.txt three.log) do echo %%n>C:\w\%%n
for %%f in (C:\w\*.txt) do echo %%f %%~nxf
for %%f in (C:\w\*.none) do echo never
