@rem Shows: an unquoted variable that is not set makes the line malformed
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo before
if %nothing%==x echo never
echo never
