"""Internet Information Server 5.0: metabase, services, HTTP and FTP servers, over plain asyncio and `HostFiles`."""
