@rem Shows: use, view, send, name, config, time
@rem Source: help text of net; messages 53, 6118 and 2273
@echo off
net use
net use X: \\NOBODY\share
echo %errorlevel%
net view
net send TARGET hello
net send NOBODY hello
net config
net time
net name
