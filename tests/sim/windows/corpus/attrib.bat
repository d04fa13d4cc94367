@rem Shows: showing and changing attributes
@rem Source: help text of attrib
@echo off
md C:\w
echo x>C:\w\a.txt
attrib C:\w\a.txt
attrib +r +h -a C:\w\a.txt
attrib C:\w\a.txt
attrib -a C:\w\a.txt
attrib C:\w\none
echo %errorlevel%
