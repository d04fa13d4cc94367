@rem Shows: PREBACK.BAT when no service runs
@rem Source: the application note, PREBACK.BAT
rem For version 4.0 the line of Content Index counts as well.
rem net stop "Content Index"
net stop "FTP Publishing Service"
net stop "IIS Admin Service" /y
