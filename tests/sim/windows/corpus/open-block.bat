@rem Shows: a block that is never closed does not run
@rem Source: this model's choice: nothing public says what is printed
@echo off
echo before
if 1==1 (
echo never
