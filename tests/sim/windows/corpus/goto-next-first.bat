@rem Shows: the search for a label begins below the goto
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
set n=0
:again
set /a n+=1
echo pass %n%
if %n%==3 goto :eof
goto again
:again
echo wrong label
