@rem Shows: 2047 characters are the limit of a line after expansion
@rem Source: KB 830473
@echo off
set a=0123456789abcdef
set a=%a%%a%%a%%a%
set a=%a%%a%%a%%a%
set a=%a%%a%%a%%a%
set a=%a%%a%%a%%a%
echo never
