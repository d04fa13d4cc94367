"""Filter expressions for frames in the syntax of tcpdump (pcap-filter): compiled and run by libpcap.

A filter looks at the bytes that would be on the wire, so scapy has to render each frame that it is asked about: some
2,000 a second, TCP more. libpcap is optional; without it `missing_library` says what to do.
"""

from __future__ import annotations

import ctypes
import importlib.util
import weakref
from ctypes.util import find_library
from functools import cache
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import FilterError
from bodydouble_sim.network.capture import Rendering

if TYPE_CHECKING:
    from bodydouble_sim.network.frames import Frame

_ETHERNET = 1  # DLT_EN10MB
_SNAPSHOT = 65_535
_ANY_NETMASK = 0xFFFFFFFF  # PCAP_NETMASK_UNKNOWN


class _Program(ctypes.Structure):
    """struct bpf_program."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _Header(ctypes.Structure):
    """struct pcap_pkthdr."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("captured", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
    )


def missing_library() -> str | None:
    """What is not there for filters, with what to do about it; None when they work."""
    if importlib.util.find_spec("scapy") is None:
        return "filter expressions need scapy: install bodydouble[labs]"
    if _libpcap() is None:
        return "filter expressions need libpcap: install it (the package libpcap0.8 on Debian)"
    return None


class FrameFilter:
    """A compiled expression; call it with a frame.

    Raises:
        FilterError: the expression is none, or libpcap is missing.
    """

    def __init__(self, expression: str) -> None:
        missing = missing_library()
        if missing is not None:
            raise FilterError(missing)
        self.expression = expression
        self._libpcap: Any = _libpcap()
        self._program = _compiled(self._libpcap, expression)
        self._rendering = Rendering()
        weakref.finalize(self, self._libpcap.pcap_freecode, ctypes.byref(self._program))

    def __call__(self, frame: Frame) -> bool:
        """Whether the frame, as it would be on the wire, matches."""
        raw = self._rendering.padded(frame)
        header = _Header(0, 0, len(raw), len(raw))
        return bool(self._libpcap.pcap_offline_filter(ctypes.byref(self._program), ctypes.byref(header), raw))


@cache
def _libpcap() -> Any:
    """The library with the functions that are called here, or None."""
    name = find_library("pcap")
    if name is None:
        return None
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_close.argtypes = [ctypes.c_void_p]
    library.pcap_compile.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(_Program),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    ]
    library.pcap_geterr.argtypes = [ctypes.c_void_p]
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_offline_filter.argtypes = [ctypes.POINTER(_Program), ctypes.POINTER(_Header), ctypes.c_char_p]
    return library


def _compiled(libpcap: Any, expression: str) -> _Program:
    program = _Program()
    handle = libpcap.pcap_open_dead(_ETHERNET, _SNAPSHOT)
    try:
        if libpcap.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, _ANY_NETMASK):
            problem = libpcap.pcap_geterr(handle).decode(errors="replace")
            raise FilterError(f"{expression!r} is no filter expression: {problem}")
    finally:
        libpcap.pcap_close(handle)
    return program
