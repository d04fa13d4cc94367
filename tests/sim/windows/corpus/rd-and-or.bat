@rem Shows: rd says nothing in the errorlevel, but to the or operator
@rem Source: Dave Benham's table of internal commands and the errorlevel (Stack Overflow)
@echo off
rd C:\none
echo %errorlevel%
rd C:\none || echo failed
