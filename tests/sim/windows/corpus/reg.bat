@rem Shows: the registry from the command line; 2000 has it in its support tools
@rem Source: usage text of reg
@echo off
reg add HKLM\SOFTWARE\Mine /v Number /t REG_DWORD /d 17
reg add HKLM\SOFTWARE\Mine /v Text /d hello
reg query HKLM\SOFTWARE\Mine
reg query HKLM\SOFTWARE\Mine /v number
reg delete HKLM\SOFTWARE\Mine /v Text /f
reg query HKLM\SOFTWARE\Mine /v Text
echo %errorlevel%
reg delete HKLM\SOFTWARE\Mine /f
reg query HKLM\SOFTWARE\Mine
