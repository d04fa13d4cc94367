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


def _if_chosen(name: str, display_name: str, *other_names: str) -> ProfileService:
    """Mail or news, which few sites have."""
    return ProfileService(
        name=name, display_name=display_name, other_names=other_names, needs=("IISADMIN",), part="if chosen"
    )


def _iis(version: str, system: str, system_title: str, *services: ProfileService, service_pack: int = 0) -> Profile:
    """What every version of IIS has in common: where its data and scripts lie, and that it minds the name."""
    return Profile(
        name=f"iis{version[0]}",
        title=f"IIS {version}",
        system=system,
        system_title=system_title,
        service_pack=service_pack,
        services=services,
        directories=("<drive>:/InetPub",),
        name_sensitive=True,
        language="batch",
        script_files={"post-failover": "POSTOVER.BAT", "pre-failback": "PREBACK.BAT"},
        script_directory=r"C:\Bodydouble",
    )


IIS_4 = _iis(
    "4.0",
    "windows-nt-4",
    "Windows NT 4.0",
    _ADMIN,
    ProfileService(name="cisvc", display_name="Content Index"),
    _FTP,
    _if_chosen("SMTPSVC", "Microsoft SMTP Service"),
    _if_chosen("NNTPSVC", "Microsoft NNTP Service"),
    _WEB,
    service_pack=4,
)

IIS_5 = _iis(
    "5.0",
    "windows-2000",
    "Windows 2000",
    _ADMIN,
    _FTP,
    _if_chosen(
        "SMTPSVC",
        "Simple Mail Transport Protocol (SMTP)",
        "Microsoft SMTP Service",
        "Simple Mail Transport Protocol",
    ),
    _if_chosen(
        "NNTPSVC",
        "Network News Transport Protocol (NNTP)",
        "Microsoft NNTP Service",
        "Network News Transport Protocol",
    ),
    _WEB,
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
