@rem Shows: else belongs to the block before it; ladders
@rem Source: help text of if (Windows 2000)
@echo off
for %%i in (1 2 3) do (
  if %%i==1 (
    echo one
  ) else if %%i==2 (
    echo two
  ) else (
    echo many
  )
)
if 1==2 (echo no) else echo yes
