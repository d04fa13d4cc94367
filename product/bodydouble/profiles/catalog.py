"""The profiles that there are.

Source of the IIS profiles: the application note, "Requirements", "Naming Conventions", "Install and Configure Software
on the Target", step 4, and its two sample scripts; short names and dependencies: Microsoft's Option Pack and Windows
2000 documentation of the services.
"""

from __future__ import annotations

from bodydouble.errors import InputError
from bodydouble.profiles.profile import Profile, ProfileService

_ADMIN = ProfileService(name="IISADMIN", display_name="IIS Admin Service", part="always")
_FTP = ProfileService(name="MSFTPSVC", display_name="FTP Publishing Service", needs=("IISADMIN",))
_WEB = ProfileService(name="W3SVC", display_name="World Wide Web Publishing Service", needs=("IISADMIN",))

IIS_4 = Profile(
    name="iis4",
    title="IIS 4.0",
    system="windows-nt-4",
    system_title="Windows NT 4.0",
    service_pack=4,
    services=(
        _ADMIN,
        ProfileService(name="cisvc", display_name="Content Index"),
        _FTP,
        ProfileService(name="SMTPSVC", display_name="Microsoft SMTP Service", needs=("IISADMIN",), part="if chosen"),
        ProfileService(name="NNTPSVC", display_name="Microsoft NNTP Service", needs=("IISADMIN",), part="if chosen"),
        _WEB,
    ),
    directories=("<drive>:/InetPub",),
    name_sensitive=True,
    language="batch",
    script_files={"post-failover": "POSTOVER.BAT", "pre-failback": "PREBACK.BAT"},
    script_directory=r"C:\Bodydouble",
)

IIS_5 = Profile(
    name="iis5",
    title="IIS 5.0",
    system="windows-2000",
    system_title="Windows 2000",
    services=(
        _ADMIN,
        _FTP,
        ProfileService(
            name="SMTPSVC",
            display_name="Simple Mail Transport Protocol (SMTP)",
            other_names=("Microsoft SMTP Service", "Simple Mail Transport Protocol"),
            needs=("IISADMIN",),
            part="if chosen",
        ),
        ProfileService(
            name="NNTPSVC",
            display_name="Network News Transport Protocol (NNTP)",
            other_names=("Microsoft NNTP Service", "Network News Transport Protocol"),
            needs=("IISADMIN",),
            part="if chosen",
        ),
        _WEB,
    ),
    directories=("<drive>:/InetPub",),
    name_sensitive=True,
    language="batch",
    script_files={"post-failover": "POSTOVER.BAT", "pre-failback": "PREBACK.BAT"},
    script_directory=r"C:\Bodydouble",
)

NGINX = Profile(
    name="nginx",
    title="nginx",
    system="linux",
    system_title="Linux",
    services=(ProfileService(name="nginx", display_name="nginx", part="always"),),
    other_services=True,
    directories=("/var/www",),
    name_sensitive=False,
    language="shell",
    script_files={"post-failover": "postover.sh", "pre-failback": "preback.sh"},
    script_directory="/etc/bodydouble",
)

PROFILES = {profile.name: profile for profile in (IIS_4, IIS_5, NGINX)}


def find_profile(name: str) -> Profile:
    """A profile by its name.

    Raises:
        InputError: there is none.
    """
    if name not in PROFILES:
        raise InputError(f"there is no profile {name!r}: there are {', '.join(PROFILES)}")
    return PROFILES[name]
