@rem Shows: ipconfig and ping without a network
@rem Source: this model's choice, after what was printed at the time
@echo off
ipconfig
ping -n 1 NOBODY
echo %errorlevel%
ipconfig /x
