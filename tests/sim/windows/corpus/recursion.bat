@rem Shows: calls have a limit, and the interpreter says so
@rem Source: this model's limit of calls and text
@echo off
set n=0
call :deeper
echo never
:deeper
set /a n+=1
if %n%==10 echo ten deep
call :deeper
