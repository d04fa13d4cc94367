@rem Shows: a label that is missing ends the batch file
@rem Source: help text of goto
@echo off
echo before
goto nowhere
echo never
