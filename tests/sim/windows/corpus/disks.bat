@rem Shows: chkdsk, format and label say what cannot be
@rem Source: help texts of chkdsk, format and label
@echo off
chkdsk D: | find /v "KB"
echo %errorlevel%
chkdsk Q:
echo %errorlevel%
format C: /fs:ntfs /y
echo %errorlevel%
format D: /fs:fat32 /y
format
label Q:x
