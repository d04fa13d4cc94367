@rem Shows: set /a computes with 32-bit integers and assigns
@rem Source: help text of set (Windows 2000)
@echo off
set /a n=7*(2+3)-4/2
echo %n%
set /a n+=10, m=n %% 4, k=1^<^<4
echo %n% %m% %k%
set /a "b=(12 & 10) | 1, c=~5, d=!0, e=6 ^ 3"
echo %b% %c% %d% %e%
set /a h=0x1F, o=010, big=2147483647+1
echo %h% %o% %big%
set /a z=unset+1
echo %z%
