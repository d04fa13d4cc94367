@rem Shows: an endless loop is ended with a clear text
@rem Source: this model's limit
@echo off
:again
goto again
