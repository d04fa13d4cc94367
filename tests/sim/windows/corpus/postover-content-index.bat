@rem Shows: POSTOVER.BAT with Content Index uncommented: works on 4.0, fails visibly on 5.0
@rem Source: the application note, POSTOVER.BAT; reference/windows-iis.md, "Services"
rem Takes the source's name for a while; the utility lies beside this script.
C:\DoubleTake\chngname /s SOURCE

rem For version 4.0 the line of Content Index counts as well.
net start "IIS Admin Service"
net start "Content Index"
net start "FTP Publishing Service"
net start "Microsoft SMTP Service"
net start "Microsoft NNTP Service"
net start "World Wide Web Publishing Service"

rem Puts the target's own name back.
C:\DoubleTake\chngname /t
