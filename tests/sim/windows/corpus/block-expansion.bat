@rem Shows: a block is expanded as a whole before it runs
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
set n=1
for %%i in (1 2 3) do (
  set /a n+=1
  echo %n%
)
echo %n%
