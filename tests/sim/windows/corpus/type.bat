@rem Shows: contents, more than one file, and what cannot be shown
@rem Source: help text of type
@echo off
md C:\w
echo one>C:\w\a.txt
echo two>C:\w\b.txt
type C:\w\a.txt
type C:\w\*.txt
type C:\w
type C:\none
