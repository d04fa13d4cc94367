@rem Shows: deleting by wildcard, whole directories with a question, read-only files
@rem Source: help text of del (Windows 2000)
@rem Answers: n|y
@echo off
md C:\w
for %%i in (a b c d) do echo %%i>C:\w\%%i.txt
attrib +r C:\w\a.txt
del C:\w\a.txt
del /f C:\w\a.txt
del C:\w\b.*
del C:\w\*.*
dir /b C:\w
del C:\w
dir /b C:\w
del /q C:\w\*.*
dir C:\w /b
