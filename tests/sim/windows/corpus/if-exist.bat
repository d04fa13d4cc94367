@rem Shows: files, directories, wildcards and the nul of a directory
@rem Source: help text of if (Windows 2000)
@echo off
md C:\w\d
echo x>C:\w\a.txt
if exist C:\w\a.txt echo file
if exist C:\w\*.txt echo wildcard
if exist C:\w\d\nul echo directory
if exist C:\w\a.txt\nul echo wrong
if not exist C:\w\b.txt echo none
if not exist Z:\x echo no drive
