"""What ``net`` says: its messages by number, and how a failure is shown.

Source: ``net helpmsg`` prints these texts for these numbers (Win32 and LAN Manager errors, Microsoft, "System Error
Codes" and lmerr.h). A failure of ``net`` ends with 2, help with 1 or 0 (reference/windows-iis.md, "Services").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.windows.service import TEXTS

if TYPE_CHECKING:
    from bodydouble_sim.windows.shell import Shell

FAILURE = 2
COMPLETED = "The command completed successfully."
WIDTH = 79

MESSAGES = {
    **TEXTS,
    0: "The operation completed successfully.",
    1: "Incorrect function.",
    3: "The system cannot find the path specified.",
    6: "The handle is invalid.",
    8: "Not enough storage is available to process this command.",
    17: "The system cannot move the file to a different disk drive.",
    19: "The media is write protected.",
    21: "The device is not ready.",
    32: "The process cannot access the file because it is being used by another process.",
    50: "The request is not supported.",
    51: "The remote computer is not available.",
    52: "A duplicate name exists on the network.",
    53: "The network path was not found.",
    55: "The specified network resource or device is no longer available.",
    64: "The specified network name is no longer available.",
    65: "Network access is denied.",
    67: "The network name cannot be found.",
    85: "The local device name is already in use.",
    86: "The specified network password is not correct.",
    87: "The parameter is incorrect.",
    112: "There is not enough space on the disk.",
    123: "The filename, directory name, or volume label syntax is incorrect.",
    145: "The directory is not empty.",
    183: "Cannot create a file when that file already exists.",
    1052: "The requested control is not valid for this service.",
    1057: "The account name is invalid or does not exist.",
    1061: "The service cannot accept control messages at this time.",
    1073: "The specified service already exists.",
    1115: "A system shutdown is in progress.",
    1117: "The request could not be performed because of an I/O device error.",
    1203: "No network provider accepted the given network path.",
    1219: ("The credentials supplied conflict with an existing set of credentials."),
    1222: "The network is not present or not started.",
    1326: "Logon failure: unknown user name or bad password.",
    1331: "Logon failure: account currently disabled.",
    1376: "The specified local group does not exist.",
    1377: "The specified account name is not a member of the local group.",
    1378: "The specified account name is already a member of the local group.",
    1379: "The specified local group already exists.",
    1385: "Logon failure: the user has not been granted the requested logon type at this computer.",
    1387: "A new member could not be added to a local group because the member does not exist.",
    2114: "The Server service is not started.",
    2116: "The device or directory does not exist.",
    2118: "The name has already been shared.",
    2138: "The Workstation service has not been started.",
    2182: "The requested service has already been started.",
    2184: "The service has not been started.",
    2185: "The service name is invalid.",
    2186: "The service is not responding to the control function.",
    2189: "The service cannot be controlled in its present state.",
    2191: "The requested pause or stop is not valid for this service.",
    2220: "The group name could not be found.",
    2221: "The user name could not be found.",
    2223: "The group already exists.",
    2224: "The account already exists.",
    2245: "The password is shorter than required.",
    2250: "The network connection could not be found.",
    2273: "This message alias could not be found on the network.",
    2310: "This shared resource does not exist.",
    2312: "A session does not exist with that computer name.",
    3515: "This command can be used only on a Windows NT Domain Controller.",
    3521: "The *** service is not started.",
    3523: "The *** service could not be stopped.",
    3533: "The service is starting or stopping.  Please try again later.",
    3534: "The service did not report an error.",
    3547: "A service specific error occurred: ***.",
    3871: "*** is not a valid Windows NT network message number.",
    6118: "The list of servers for this workgroup is not currently available",
}


def text_of(number: int) -> str:
    """A message's text, or its number where this model has none."""
    return MESSAGES.get(number, f"Error {number}.")


def help_message(shell: Shell, text: str, number: int) -> int:
    """Show a message of ``net`` itself and where to read on."""
    shell.error(text)
    shell.error()
    shell.error(f"More help is available by typing NET HELPMSG {number}.")
    shell.error()
    return FAILURE


def numbered(shell: Shell, number: int) -> int:
    """Show a failure: LAN Manager's own numbers (2100 to 3999) as help, others as system errors."""
    if 2100 <= number < 4000:  # noqa: PLR2004 - the range of LAN Manager's messages
        return help_message(shell, text_of(number), number)
    return system_error(shell, number)


def system_error(shell: Shell, number: int) -> int:
    """Show a failure that another part of Windows reported."""
    shell.error(f"System error {number} has occurred.")
    shell.error()
    shell.error(text_of(number))
    shell.error()
    return FAILURE


def completed(shell: Shell) -> int:
    """Say that it worked."""
    shell.line(COMPLETED)
    shell.line()
    return 0


def title(shell: Shell, text: str, columns: str = "") -> None:
    """A heading, the names of the columns, and the rule under them."""
    shell.line()
    shell.line(text)
    shell.line()
    if columns:
        shell.line(columns)
        shell.line()
    shell.line("-" * WIDTH)


def usage(shell: Shell, text: str) -> int:
    """Show how a command is written."""
    shell.error("The syntax of this command is:")
    shell.error()
    shell.error(text)
    shell.error()
    return 1


async def helpmsg(shell: Shell, arguments: list[str]) -> int:
    """``net helpmsg number``."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        return usage(shell, "NET HELPMSG\r\nmessage#")
    number = int(arguments[0][:9])
    if number not in MESSAGES:
        return help_message(shell, f"{number} is not a valid Windows NT network message number.", 3871)
    shell.line()
    shell.line(MESSAGES[number])
    shell.line()
    return 0
