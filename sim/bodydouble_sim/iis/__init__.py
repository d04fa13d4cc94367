"""Internet Information Server 4.0 and 5.0: set-up, metabase and services, over plain asyncio and `HostFiles`."""
