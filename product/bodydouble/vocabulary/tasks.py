"""Records of tasks in the stream: commands that run at a point in the order of operations.

Source: Double-Take's guides, ``queuetask ... onqueue|ontransmit|onreceive|onexecute``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

TaskStage = Literal["queue", "transmit", "receive", "execute"]
"""Where it runs: on the source when it is queued or its turn to be sent has come, on the target when it has been
received or its turn to be applied has come."""

Command = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
OptionalCommand = Annotated[str, msgspec.Meta(max_length=1024)]
Arguments = Annotated[list[Annotated[str, msgspec.Meta(max_length=1024)]], msgspec.Meta(max_length=32)]
TaskTimeout = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class TaskRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Queue a task.

    Attributes:
        on: where and when it runs.
        command: a script in the task directory of the machine that runs it.
        arguments: passed as they are, by no shell.
        timeout: seconds after which it is killed.
    """

    on: TaskStage
    command: Command
    arguments: Arguments = []
    timeout: TaskTimeout = 60.0


class TaskReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task that was queued; its events carry the ``id``, its script has it in ``BODYDOUBLE_TASK_ID``."""

    id: str
    on: TaskStage
