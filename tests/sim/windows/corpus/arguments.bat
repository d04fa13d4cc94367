@rem Shows: arguments by number, all of them, and those that are missing
@rem Source: help text of call (Windows 2000)
@rem Arguments: one|two words
@echo off
echo 0=%~n0 1=%1 2=%2 3=[%3]
echo all=%*
