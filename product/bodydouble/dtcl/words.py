"""The commands of DTCL in words: how each is written, what it does, an example. `help` prints it, docs/dtcl.md too."""

from __future__ import annotations

from dataclasses import dataclass

_SPELLING = {
    "set_option": "set",
    "get_option": "get",
    "disconnect_": "disconnect",
}


def spelled(name: str) -> str:
    """How a command or an option of the grammar is written."""
    return _SPELLING.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Words:
    """One command.

    Attributes:
        name: the grammar's.
        chapter: what it is listed under.
        usage: what may follow its name; ``[ ]`` may be left out, ``|`` is a choice.
        help: what it does.
        example: a whole statement.
    """

    name: str
    chapter: str
    usage: str
    help: str
    example: str

    @property
    def line(self) -> str:
        """The command as it is written."""
        return f"{spelled(self.name)} {self.usage}".rstrip()


CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("connect", "mirror"): ("full", "difference", "checksum"),
    ("connect", "remirror"): ("none", "full", "difference", "checksum"),
    ("connect", "reconnect"): ("auto", "manual"),
    ("connect", "compatibility"): ("4.1", "4.2"),
    ("connect", "orphans"): ("keep", "log", "move", "delete"),
    ("mirror_start", "by"): ("full", "difference", "checksum"),
    ("mirror_start", "orphans"): ("keep", "log", "move", "delete"),
    ("restore", "by"): ("full", "difference", "checksum"),
    ("restore", "orphans"): ("keep", "log", "move", "delete"),
    ("monitor_option", "manual"): ("on", "off"),
    ("monitor_option", "name"): ("on", "off"),
    ("monitor_option", "trigger"): ("all", "any"),
    ("monitor_option", "heartbeat"): ("icmp", "service"),
    ("monitor_option", "shares"): ("on", "off"),
    ("monitor_option", "identity"): ("add", "replace"),
    ("monitor_script_add", "onfailure"): ("continue", "hold", "abort"),
    ("monitor_script_add", ""): ("prefailover", "postfailover", "prefailback", "postfailback"),
    ("monitor_script_remove", ""): ("prefailover", "postfailover", "prefailback", "postfailback"),
    ("script_add", ""): ("mirrorstart", "mirrorstop", "mirrorcomplete"),
    ("script_remove", ""): ("mirrorstart", "mirrorstop", "mirrorcomplete"),
}
"""What a value may be, by command and option; an empty option is the command's own first value."""

EXCLUSIVE = (
    ("include", "exclude"),
    ("recursive", "nonrecursive"),
    ("map_exact", "map_base"),
    ("map_exact", "map"),
    ("newer", "missing"),
    ("token", "token_file"),
    ("token", "token_env"),
    ("token_env", "token_file"),
)
"""Options that contradict each other."""
REPEATABLE = ("map", "argument")
"""Options that may be said more than once."""

_MACHINES = "Machines"
_SETS = "Replication sets"
_CONNECTIONS = "Connections, mirror, replication"
_TRANSMISSION = "Transmission"
_CHECKS = "Verification, restoration, waiting"
_FAILOVER = "Monitoring and failover"
_LOOKING = "Looking, options, services"
_LANGUAGE = "The language itself"

COMMANDS: tuple[Words, ...] = (
    Words("source", _MACHINES, "MACHINE",
          "Orders to a source (sets, connections, verification) go to this machine from now on.",
          "source 10.0.0.10;"),
    Words("target", _MACHINES, "MACHINE",
          "Orders to a target (monitors, failover, restoration) go to this machine from now on.",
          "target 10.0.0.20;"),
    Words("login", _MACHINES, "MACHINE [port N] [token file FILE | token env NAME | token TOKEN] [pin FINGERPRINT]",
          "Use this token for the machine. With none named it is asked for, unseen; unattended that is an error. "
          "Nothing is sent yet.",
          "login 10.0.0.20 port 6330 token file /etc/bodydouble/target.token;"),
    Words("logout", _MACHINES, "[MACHINE]",
          "Forget the token of a machine, or of all, and end what is open to it.",
          "logout 10.0.0.20;"),

    Words("repset_create", _SETS, "NAME",
          "Begin a new set and use it. It is on the source only once it is saved.",
          'repset create "IIS data";'),
    Words("repset_use", _SETS, "NAME",
          "Use a set that the source has: rules are added to it and removed from it.",
          'repset use "IIS data";'),
    Words("repset_recover", _SETS, "NAME of SOURCE [from MACHINE]",
          "Use a set as the target knows it, which holds a replica: for a source that was rebuilt. Save it then.",
          'repset recover "IIS data" of WEB1;'),
    Words("repset_rule_add", _SETS, "PATH [include | exclude] [recursive | nonrecursive] [to NAME]",
          "Add a rule to the set in use, or to the one that is named: include and recursive unless said otherwise.",
          r'repset rule add "C:\InetPub\*.tmp" exclude;'),
    Words("repset_rule_remove", _SETS, "PATH [include | exclude] [recursive | nonrecursive] [from NAME]",
          "Take the rules of a path out of the set in use; all of them, or those that are so.",
          r'repset rule remove "C:\InetPub\*.tmp" exclude;'),
    Words("repset_save", _SETS, "[as NAME] [without remirror]",
          "Save the set in use on the source. Connections that use it mirror again, unless that is left out.",
          "repset save;"),
    Words("repset_display", _SETS, "[NAME]",
          "Show the sets of the source, or one; one that is in use is shown as it would be saved.",
          "repset display;"),
    Words("repset_calc", _SETS, "[NAME]",
          "Calculate how large a set is that the source has, and wait for it.",
          'repset calc "IIS data";'),
    Words("repset_copy", _SETS, "NAME to NAME", "Save the rules of a set under another name as well.",
          'repset copy "IIS data" to "IIS spare";'),
    Words("repset_rename", _SETS, "NAME to NAME", "Give a set that is not connected another name.",
          'repset rename "IIS spare" to "IIS old";'),
    Words("repset_delete", _SETS, "NAME [disconnect]",
          "Delete a set on the source; with `disconnect` its connections end first.",
          'repset delete "IIS old" disconnect;'),

    Words("connect", _CONNECTIONS,
          "SET to MACHINE [port N] [route ADDRESS] [map exact | map base DIRECTORY | map PATH to PATH ...] "
          "[mirror full|difference|checksum] [remirror none|full|difference|checksum] [newer] [calculate] "
          "[orphans keep|log|move|delete] [older AGE] [reconnect auto|manual] [compatibility 4.1|4.2] "
          "[bandwidth RATE] [compression LEVEL]",
          "Connect a set of the source to a target; the mirror begins. Without a mapping it is `map exact`, "
          "One To One. Scripts that were added are the connection's.",
          'connect "IIS data" to 10.0.0.20 map exact orphans delete;'),
    Words("disconnect", _CONNECTIONS, "[CONNECTION] [drain]",
          "End a connection; with `drain` what is queued is sent first.",
          "disconnect 1 drain;"),
    Words("mirror_start", _CONNECTIONS,
          "[CONNECTION] [by full|difference|checksum] [newer] [calculate] [orphans keep|log|move|delete] [older AGE]",
          "Mirror again; what is not said is as the connection was made.",
          "mirror start 1 by checksum orphans log;"),
    Words("mirror_stop", _CONNECTIONS, "[CONNECTION]",
          "End the mirror that runs; the replica is incomplete until another one completes.", "mirror stop 1;"),
    Words("mirror_pause", _CONNECTIONS, "[CONNECTION]", "Let the mirror wait.", "mirror pause;"),
    Words("mirror_resume", _CONNECTIONS, "[CONNECTION]", "Let the mirror go on.", "mirror resume;"),
    Words("replication_start", _CONNECTIONS, "[CONNECTION]", "Replicate again, beginning with a mirror.",
          "replication start 1;"),
    Words("replication_stop", _CONNECTIONS, "[CONNECTION]",
          "Queue nothing more. What is queued is still sent, and then a mirror is due.", "replication stop 1;"),
    Words("queue_flush", _CONNECTIONS, "[CONNECTION]",
          "Drop what is queued and not acknowledged. Nothing is replicated until a mirror, which `replication start` "
          "begins.",
          "queue flush 1;"),
    Words("queuetask", _CONNECTIONS,
          "COMMAND [ARGUMENT ...] onqueue|ontransmit|onreceive|onexecute [timeout TIME] [for CONNECTION]",
          "Queue a script in the stream, in order with the data: it runs on the source when it is queued or "
          "transmitted, on the target when it is received or its turn to be applied has come.",
          'queuetask snapshot.sh "after deployment" onexecute timeout 60s for 1;'),
    Words("script_add", _CONNECTIONS, "mirrorstart|mirrorstop|mirrorcomplete COMMAND",
          "Give the connections that are made from now on a script, from the source's task directory.",
          "script add mirrorcomplete tell-operator.sh;"),
    Words("script_remove", _CONNECTIONS, "mirrorstart|mirrorstop|mirrorcomplete", "Give them none.",
          "script remove mirrorcomplete;"),
    Words("pause_target", _CONNECTIONS, "for SOURCE [set NAME]",
          "Have the target receive what comes from a source and not apply it; of all its sets, or of one.",
          'pause target for WEB1 set "IIS data";'),
    Words("resume_target", _CONNECTIONS, "for SOURCE [set NAME]", "Have it apply again.",
          "resume target for WEB1;"),

    Words("transmission_start", _TRANSMISSION, "[CONNECTION]", "Transmit; the schedule counts again.",
          "transmission start 1;"),
    Words("transmission_stop", _TRANSMISSION, "[CONNECTION]", "Transmit nothing until it is started.",
          "transmission stop 1;"),
    Words("transmission_pause", _TRANSMISSION, "[CONNECTION]", "Hold what is being sent.", "transmission pause 1;"),
    Words("transmission_resume", _TRANSMISSION, "[CONNECTION]", "Go on.", "transmission resume 1;"),
    Words("transmission_display", _TRANSMISSION, "[CONNECTION]", "Show limit, compression and schedule.",
          "transmission display 1;"),
    Words("transmission_bandwidth", _TRANSMISSION, "RATE|none [for CONNECTION]",
          "Send at most so many bytes a second.", "transmission bandwidth 256kb for 1;"),
    Words("transmission_compression", _TRANSMISSION, "LEVEL [for CONNECTION]", "Compress, 0 (not) to 9.",
          "transmission compression 3 for 1;"),
    Words("schedule_window", _TRANSMISSION, "TIME to TIME [days mon,tue,...] [bandwidth RATE] [for CONNECTION]",
          "Add a time (UTC) in which transmission is allowed. A window starts nothing by itself.",
          "schedule window 22:00 to 06:00 days mon,tue,wed,thu,fri for 1;"),
    Words("schedule_start_at", _TRANSMISSION, "TIME [days mon,tue,...] [for CONNECTION]",
          "Add a time of day (UTC) to start at.", "schedule start at 22:00 days sat,sun for 1;"),
    Words("schedule_start_every", _TRANSMISSION, "TIME [for CONNECTION]", "Start at an interval.",
          "schedule start every 1h for 1;"),
    Words("schedule_start_queue", _TRANSMISSION, "SIZE [for CONNECTION]", "Start when so much is queued.",
          "schedule start queue 10mb for 1;"),
    Words("schedule_start_percent", _TRANSMISSION, "N [for CONNECTION]",
          "Start when the queue fills so many per cent of its memory.", "schedule start percent 50 for 1;"),
    Words("schedule_start_operations", _TRANSMISSION, "N [for CONNECTION]",
          "Start when so many operations are queued.", "schedule start operations 1000 for 1;"),
    Words("schedule_stop_empty", _TRANSMISSION, "[for CONNECTION]",
          "Stop when nothing is queued any more. A condition to stop needs one to start first.",
          "schedule stop empty for 1;"),
    Words("schedule_stop_after", _TRANSMISSION, "TIME [for CONNECTION]", "Stop after so long a transmission.",
          "schedule stop after 30m for 1;"),
    Words("schedule_stop_bytes", _TRANSMISSION, "SIZE [for CONNECTION]", "Stop when so much was sent.",
          "schedule stop bytes 100mb for 1;"),
    Words("schedule_clear", _TRANSMISSION, "[for CONNECTION]", "Have no schedule: transmit always.",
          "schedule clear for 1;"),
    Words("schedule_display", _TRANSMISSION, "[for CONNECTION]", "Show the schedule.", "schedule display for 1;"),
    Words("schedule_verify_every", _TRANSMISSION, "TIME [checksum] [newer] [repair] [for CONNECTION]",
          "Verify by itself, again and again.", "schedule verify every 1d checksum for 1;"),
    Words("schedule_verify_off", _TRANSMISSION, "[for CONNECTION]", "Verify by order only.",
          "schedule verify off for 1;"),

    Words("verify", _CHECKS, "[CONNECTION] [checksum] [newer] [repair]",
          "Compare source and replica; `repair` mirrors what differs. `wait on verify` waits for the end.",
          "verify 1 checksum;"),
    Words("verify_stop", _CHECKS, "[CONNECTION]", "Stop the verification that runs.", "verify stop 1;"),
    Words("restore", _CHECKS,
          "SET of SOURCE to MACHINE [from MACHINE] [port N] [map exact | map base DIRECTORY | map PATH to PATH ...] "
          "[by full|difference|checksum] [newer | missing] [orphans keep|log|move|delete] [older AGE]",
          "Restore what the target holds of a source's set. `newer` leaves files alone that are newer there, `missing` "
          "all that exist there. `wait on restore` waits for the end. `stays_required` of the result says why the set "
          "stays restore required, if it does.",
          'restore "IIS data" of WEB1 to 10.0.0.10 from 10.0.0.20;'),
    Words("restore_stop", _CHECKS, "[NUMBER] [from MACHINE]",
          "Stop a restoration that runs; it is begun again by another `restore`.", "restore stop 1;"),
    Words("restore_clear", _CHECKS, "SET of SOURCE [from MACHINE]",
          "Require no restoration of the set any more: what the source has counts, and may be mirrored over the rest.",
          'restore clear "IIS data" of WEB1;'),
    Words("wait_on_mirror", _CHECKS, "[CONNECTION] [timeout TIME]",
          "Wait until the mirror is complete; that it ends otherwise is an error.", "wait on mirror 1 timeout 2h;"),
    Words("wait_on_queue", _CHECKS, "[CONNECTION] [timeout TIME]",
          "Wait until everything queued has been applied on the target.", "wait on queue;"),
    Words("wait_on_verify", _CHECKS, "[NUMBER] [timeout TIME]",
          "Wait until a verification, the latest unless it is named, is complete.", "wait on verify;"),
    Words("wait_on_restore", _CHECKS, "[NUMBER] [from MACHINE] [timeout TIME]",
          "Wait until a restoration, the latest unless it is named, is complete.", "wait on restore timeout 8h;"),
    Words("wait_on_failover", _CHECKS, "[SOURCE] [timeout TIME]", "Wait until the target stands in for the source.",
          "wait on failover WEB1 timeout 10m;"),
    Words("wait_on_failback", _CHECKS, "[SOURCE] [timeout TIME]", "Wait until the identity has been given back.",
          "wait on failback WEB1;"),

    Words("monitor_create", _FAILOVER, "SOURCE",
          "Begin a monitor and use it. The target has it only once it is started.", "monitor create WEB1;"),
    Words("monitor_use", _FAILOVER, "SOURCE",
          "Use the monitor of a source that the target has.", "monitor use WEB1;"),
    Words("monitor_move", _FAILOVER, "ADDRESS/PREFIX to ADAPTER",
          "The address of the source is watched, and at failover moves to this adapter of the target.",
          'monitor move 10.0.0.10/24 to "Local Area Connection";'),
    Words("monitor_watch", _FAILOVER, "ADDRESS", "Watch a further address of the source, which is not assumed.",
          "monitor watch 10.0.9.10;"),
    Words("monitor_giveup", _FAILOVER, "ADDRESS/PREFIX of ADAPTER",
          "Give up an address of the target's own while it stands in, with `identity replace`.",
          'monitor giveup 10.0.0.20/24 of "Local Area Connection";'),
    Words("monitor_option", _FAILOVER,
          "[interval TIME] [missed N] [manual on|off] [timeout TIME] [trigger all|any] [heartbeat icmp|service] "
          "[serviceport N] [name on|off] [shares on|off] [identity add|replace]",
          "Change how the monitor in use watches and stands in: heartbeats, how many missed ones make a failure, "
          "whether it waits for an operator, how long a script may take; whether all watched addresses or any one, "
          "the machine or its service; whether the name is assumed, and added or instead of the target's own; "
          "whether the source's shares are made here.",
          "monitor option interval 5s missed 5 manual off;"),
    Words("monitor_script_add", _FAILOVER,
          "prefailover|postfailover|prefailback|postfailback FILE [argument TEXT ...] [timeout TIME] "
          "[onfailure continue|hold|abort]",
          "Run a script of the target then.",
          r'monitor script add postfailover "C:\Bodydouble\POSTOVER.BAT" onfailure hold;'),
    Words("monitor_script_remove", _FAILOVER, "prefailover|postfailover|prefailback|postfailback", "Run none then.",
          "monitor script remove postfailover;"),
    Words("monitor_start", _FAILOVER, "[SOURCE]",
          "Have the target monitor as the monitor in use says. One that runs already is made anew.", "monitor start;"),
    Words("monitor_stop", _FAILOVER, "[SOURCE]",
          "Have the target monitor no more. The monitor stays in use here and can be started again.",
          "monitor stop WEB1;"),
    Words("monitor_delete", _FAILOVER, "[SOURCE]", "Stop a monitor and forget it here, too.", "monitor delete WEB1;"),
    Words("monitor_display", _FAILOVER, "[SOURCE]", "Show the monitors of the target, or one.",
          "monitor display WEB1;"),
    Words("failover", _FAILOVER, "[SOURCE]",
          "Fail over now. The source must be off the network. `wait on failover` waits for the end.",
          "failover WEB1;"),
    Words("failback", _FAILOVER, "[SOURCE]",
          "Give the source its identity back. It must be off the network until that is done.", "failback WEB1;"),
    Words("failback_continue", _FAILOVER, "[SOURCE]",
          "Failback is done and the source online: go on monitoring it.", "failback continue WEB1;"),
    Words("failback_stop", _FAILOVER, "[SOURCE]", "The same, and monitor it no more.", "failback stop WEB1;"),

    Words("status", _LOOKING, "[on MACHINE]",
          "Show source and target, or one machine, at a glance.", "status on target;"),
    Words("stats", _LOOKING, "[on MACHINE]", "Show the newest second of statistics.", "stats on source;"),
    Words("events", _LOOKING, "[after NUMBER] [on MACHINE]", "Show the events log.", "events after 100 on target;"),
    Words("set_option", _LOOKING, "NAME VALUE [on MACHINE]",
          "Change an option of a daemon that runs, until it is started again; its configuration file is not touched.",
          "set retry_interval 10 on source;"),
    Words("get_option", _LOOKING, "[NAME] [on MACHINE]", "Show the options of a daemon, or one.",
          "get queue_full on source;"),
    Words("service_start", _LOOKING, "NAME [on MACHINE]", "Start a service and wait until it runs.",
          "service start W3SVC on source;"),
    Words("service_stop", _LOOKING, "NAME [on MACHINE]", "Stop a service and wait until it has stopped.",
          "service stop W3SVC on target;"),
    Words("service_display", _LOOKING, "NAME [on MACHINE]", "Show how a service stands.",
          "service display W3SVC on source;"),
    Words("shutdown", _LOOKING, "[on MACHINE]",
          "End a daemon in good order. What it watches is watched no more until it is started again.",
          "shutdown on source;"),

    Words("print", _LANGUAGE, "VALUE ...", "Print values on a line.", 'print "restored to" $to;'),
    Words("sleep", _LANGUAGE, "TIME", "Do nothing for a while.", "sleep 5s;"),
    Words("help", _LANGUAGE, "[COMMAND]", "List the commands, or explain one.", "help mirror start;"),
    Words("quit", _LANGUAGE, "[STATUS]", "End, with an exit status.", "quit 3;"),
)  # fmt: skip

BY_NAME = {each.name: each for each in COMMANDS}
