@rem Shows: the utility and its refusals: no argument, unknown switch, bad names
@rem Source: the application note; texts are this model's choice
@echo off
C:\DoubleTake\chngname /s SOURCE
hostname
C:\DoubleTake\chngname /t
hostname
C:\DoubleTake\chngname
echo %errorlevel%
C:\DoubleTake\chngname /x SOURCE
C:\DoubleTake\chngname /s
C:\DoubleTake\chngname /s SIXTEENCHARACTER
echo %errorlevel%
C:\DoubleTake\chngname /s "A B"
C:\DoubleTake\chngname /s 12345
hostname
