@rem Shows: directories, and the files of a tree
@rem Source: help text of for (Windows 2000)
@echo off
md C:\w\a\b
md C:\w\c
echo x>C:\w\x.txt
echo x>C:\w\a\b\y.txt
for /d %%d in (C:\w\*) do echo %%d
for /r C:\w %%f in (*.txt) do echo %%f
for /r C:\w %%f in (.) do echo %%f
