@rem Shows: goto ends blocks and loops; what is left of them does not run
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
for %%i in (1 2 3) do (
  echo %%i
  if %%i==2 goto out
  echo after %%i
)
echo never
:out
echo out
