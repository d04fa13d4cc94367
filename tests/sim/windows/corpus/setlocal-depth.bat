@rem Shows: 32 levels of setlocal at most
@rem Source: this model's choice
@echo off
for /l %%i in (1,1,33) do setlocal
echo done
