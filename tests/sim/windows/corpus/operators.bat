@rem Shows: and, or, and one after the other
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo a& echo b
echo c&& echo d
nonsense 2>nul && echo never
nonsense 2>nul || echo failed
nonsense 2>nul || echo e && echo f
