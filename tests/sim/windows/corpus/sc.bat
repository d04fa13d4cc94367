@rem Shows: the service controller of the resource kit
@rem Source: usage text of sc
@echo off
sc query W3SVC
sc config W3SVC start= demand
sc qc W3SVC
sc start W3SVC
sc stop W3SVC
sc query nonsense
echo %errorlevel%
sc create mine binPath= C:\mine.exe start= demand DisplayName= "My service"
sc qc mine
sc delete mine
sc query mine
