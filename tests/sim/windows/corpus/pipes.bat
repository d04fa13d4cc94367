@rem Shows: the right side reads what the left side wrote
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo one two| find "two"
(echo b& echo a& echo c)| sort
(echo x& echo y)| find /v "x"
type C:\none 2>nul | find "x"
echo %errorlevel%
