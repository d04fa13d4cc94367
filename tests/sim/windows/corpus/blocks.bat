@rem Shows: parentheses group commands and their output
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
md C:\w
(
echo one
echo two
) >C:\w\o.txt
type C:\w\o.txt
(echo x & (echo y & echo z))
