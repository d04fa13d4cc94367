@rem Shows: what follows an if on its line belongs to it
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
if 1==2 echo a & echo b
if 1==1 echo c & echo d
echo e
