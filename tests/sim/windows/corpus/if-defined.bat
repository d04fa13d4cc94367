@rem Shows: defined and cmdextversion; 1 came with NT 4.0, 2 with 2000
@rem Source: help text of if (Windows 2000)
@echo off
set x=1
if defined x echo x
if not defined y echo no y
if cmdextversion 1 echo at least 1
if cmdextversion 2 echo at least 2
if cmdextversion 3 echo at least 3
echo %cmdextversion%
