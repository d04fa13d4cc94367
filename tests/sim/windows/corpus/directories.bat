@rem Shows: cd, md with what is missing, rd, pushd and popd
@rem Source: help texts of cd, md, rd, pushd (Windows 2000)
@echo off
md C:\w\a\b
cd C:\w
cd
cd a\b
cd
cd ..
cd
cd D:\
cd
cd /d D:\
cd
cd C:
C:
cd
pushd C:\w
cd
popd
cd
cd none
rd C:\w
cd \
rd /s /q C:\w
if not exist C:\w echo gone
md C:\w
md C:\w
