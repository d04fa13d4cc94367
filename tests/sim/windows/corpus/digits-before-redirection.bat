@rem Shows: a digit alone before the sign names the handle, one that ends a word does not
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
md C:\w
set n=1
echo x1>C:\w\a.txt
type C:\w\a.txt
echo x 2>C:\w\b.txt
type C:\w\b.txt
