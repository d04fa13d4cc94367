@rem Shows: echo with nothing tells its state, echo. prints an empty line
@rem Source: help text of echo
@echo off
echo
echo.
echo.text
echo:colon
echo "quoted   text"
echo   indented
echo on^|off
