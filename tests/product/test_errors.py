from __future__ import annotations

import errno
import socket
import ssl

import pytest

from bodydouble.errors import ProtocolError, reason_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.9', 6320)"), "No route to host"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "Connection refused"),
        (socket.gaierror(socket.EAI_AGAIN, "no such name now"), "no such name now"),
        (ConnectionResetError("the peer was silent for 15 s"), "the peer was silent for 15 s"),
        (TimeoutError(), "TimeoutError"),
        (ssl.SSLError(1, "certificate unknown"), "certificate unknown"),
        (ProtocolError("Refused in answer to Hello"), "Refused in answer to Hello"),
    ],
)
def test_a_reason_is_the_systems_words_and_nothing_of_pythons(error: Exception, words: str) -> None:
    assert reason_of(error) == words
