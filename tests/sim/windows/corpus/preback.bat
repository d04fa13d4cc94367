@rem Shows: PREBACK.BAT as printed after the services were started
@rem Source: the application note, PREBACK.BAT
@for %%s in (MSFTPSVC SMTPSVC NNTPSVC W3SVC) do @net start %%s >nul
rem For version 4.0 the line of Content Index counts as well.
rem net stop "Content Index"
net stop "FTP Publishing Service"
net stop "IIS Admin Service" /y
