@rem Shows: text in a value replaced, removed, and cut up to a star
@rem Source: help text of set (Windows 2000)
@echo off
set p=C:\one\two;C:\one\three
echo %p:one=1%
echo %p:\=/%
echo %p:;=%
echo %p:*two=start%
echo %p:NOTHING=x%
