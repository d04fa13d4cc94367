"""The answers that are no document: IIS's numbers, their reason phrases and pages.

Source: "Custom Error Messages" of the IIS 4.0 and 5.0 documentation (the list of 401.1 to 401.5, 403.1 to 403.17, 404.1
and so on). The reason phrases are those that IIS sends (302 Object Moved, 404 Object Not Found); the pages' words are
this model's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from bodydouble.errors import BodydoubleError

REASONS = {
    100: "Continue",
    200: "OK",
    201: "Created",
    204: "No Content",
    206: "Partial Content",
    207: "Multi-Status",
    302: "Object Moved",
    304: "Not Modified",
    400: "Bad Request",
    401: "Access Denied",
    403: "Access Forbidden",
    404: "Object Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    423: "Locked",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    507: "Insufficient Storage",
}
_DETAILS = {
    (401, 1): "Logon failed",
    (401, 2): "Logon failed due to server configuration",
    (401, 3): "Unauthorized due to ACL on resource",
    (401, 4): "Authorization failed by filter",
    (401, 5): "Authorization failed by ISAPI/CGI application",
    (403, 1): "Execute access forbidden",
    (403, 2): "Read access forbidden",
    (403, 3): "Write access forbidden",
    (403, 4): "SSL required",
    (403, 6): "IP address rejected",
    (403, 8): "Site access denied",
    (403, 9): "Too many users",
    (403, 14): "Directory listing denied",
    (404, 1): "No web site is configured at this address",
}


@dataclass(frozen=True, slots=True)
class Status:
    """An answer's number: the status that HTTP knows, and IIS's number within it (0 when there is none)."""

    code: int
    sub: int = 0

    def __str__(self) -> str:
        return f"{self.code}.{self.sub}" if self.sub else str(self.code)

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return REASONS[self.code]

    @property
    def detail(self) -> str:
        """What IIS's documentation calls it."""
        return _DETAILS.get((self.code, self.sub), self.reason)


class RefusalError(BodydoubleError):
    """A request is answered with a status instead of a document. Never leaves the web service.

    Args:
        status: HTTP's and IIS's number.
        headers: extra header lines.
        text: what else the page says.
    """

    def __init__(self, code: int, sub: int = 0, *, headers: str = "", text: str = "") -> None:
        self.status = Status(code, sub)
        self.headers = headers
        self.text = text
        super().__init__(str(self.status))


def page(status: Status, text: str = "") -> bytes:
    """The body of an answer that is no document."""
    heading = f"HTTP Error {status}"
    words = f"{status.detail}{'. ' + text if text else ''}"
    head = f"<html><head><title>{status} {status.detail}</title></head>"
    return f"{head}<body><h1>{heading}</h1><p>{words}</p></body></html>\r\n".encode()
