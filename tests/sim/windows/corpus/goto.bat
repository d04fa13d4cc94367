@rem Shows: jumping forwards, backwards, with colon and with spaces
@rem Source: help text of goto
@echo off
goto first
echo never
:second
echo second
goto :eof
  :first
echo first
goto:second
