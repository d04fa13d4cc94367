"""Commands inside cmd.exe and programs in system32."""
