@rem Shows: two percent signs are one; what is not set vanishes in a batch file
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo 100%% sure
echo [%none%]
echo %%none%%
