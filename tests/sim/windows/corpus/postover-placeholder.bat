@rem Shows: a placeholder left as printed: its angle brackets redirect, the script goes on
@rem Source: the application note, POSTOVER.BAT; Stack Overflow 4094699
@echo off
<drive>\<directory>\chngname /s source_name
echo after
