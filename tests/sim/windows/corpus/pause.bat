@rem Shows: pause waits for a key
@rem Source: help text of pause
@rem Answers: x
@echo off
pause
echo after
