@rem Shows: renaming by name and by pattern, moving
@rem Source: help texts of ren and move (Windows 2000)
@echo off
md C:\w\d
echo x>C:\w\a.txt
echo x>C:\w\b.txt
ren C:\w\a.txt c.txt
ren C:\w\*.txt *.bak
dir /b C:\w
ren C:\w\b.bak c.bak
ren C:\w\b.bak C:\x
ren C:\w\none x
move C:\w\*.bak C:\w\d
dir /b C:\w\d
move C:\w\none C:\w\d
