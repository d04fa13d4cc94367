@rem Shows: usebackq changes what the quotes mean; it came with 2000
@rem Source: help text of for (Windows 2000)
@echo off
for /f "usebackq tokens=*" %%a in (`echo from a command`) do echo %%a
