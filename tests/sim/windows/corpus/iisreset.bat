@rem Shows: stopping and starting all of IIS; only what starts automatically; 2000 alone
@rem Source: TechNet bb742502; jrdodds.com, iisreset
@echo off
iisreset /stop
iisreset /start
iisreset /status
sc config W3SVC start= auto >nul
sc config IISADMIN start= auto >nul
iisreset
iisreset /status
iisreset /x
