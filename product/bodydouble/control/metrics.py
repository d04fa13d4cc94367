"""The statistics as a page that Prometheus reads.

Source: "Exposition formats" of the Prometheus documentation, text format 0.0.4. The format is a few lines, so no client
library is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bodydouble.vocabulary.records import MonitorStatus, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_CONNECTION = (
    ("operations_generated_total", "counter", "operations_generated", "Operations put into the queue."),
    ("operations_sent_total", "counter", "operations_sent", "Operations handed to the network for the first time."),
    ("operations_acknowledged_total", "counter", "operations_acknowledged", "Operations safe on the target's disk."),
    ("operations_applied_total", "counter", "operations_applied", "Operations in the replica."),
    ("generated_bytes_total", "counter", "generated_bytes", "Bytes of the operations put into the queue."),
    ("mirror_bytes_total", "counter", "mirror_bytes", "Bytes of contents that mirrors put into the queue."),
    ("plain_bytes_total", "counter", "plain_bytes", "Bytes sent, before compression."),
    ("sent_bytes_total", "counter", "sent_bytes", "Bytes written to the network, before TLS."),
    ("queue_operations", "gauge", "operations_queued", "Operations in the queue."),
    ("queue_memory_bytes", "gauge", "queue_memory_bytes", "Bytes queued in memory."),
    ("queue_disk_bytes", "gauge", "queue_disk_bytes", "Bytes queued on disk."),
    ("lag_seconds", "gauge", "lag_s", "Age of the oldest operation that is not acknowledged."),
)
_REPLICA = (
    ("replica_queue_operations", "operations_queued", "Operations received and not yet applied."),
    ("replica_queue_bytes", "queue_bytes", "Bytes received and not yet applied."),
)
_RESTORATION = (
    ("restoration_files_done", "files_done", "Files that a restoration has looked at and, where needed, sent."),
    ("restoration_files_known", "files_total", "Files that a restoration knows of so far."),
    ("restoration_bytes_done", "bytes_done", "Bytes of the files done."),
    ("restoration_bytes_known", "bytes_total", "Bytes of the files known."),
    ("restoration_sent_bytes", "sent_bytes", "Bytes that a restoration wrote to the network, before TLS."),
)
Family = tuple[str, str, str, list[tuple[dict[str, str], float]]]


def exposition(sample: Sample, monitors: Iterable[MonitorStatus], uncovered: int) -> str:
    """The page.

    Args:
        sample: the figures of this moment.
        monitors: of this machine as a target.
        uncovered: how many directories of applications no replication set holds.
    """
    families = [
        _family("info", "gauge", "The daemon's version.", [({"version": __version__}, 1.0)]),
        *_connections(sample),
        *_replicas(sample),
        *_restorations(sample),
        _family(
            "applied_here_total", "counter", "Operations of sources that this machine applied as a target.",
            [({}, sample.operations_applied)],
        ),
        _family(
            "time_to_fail_seconds", "gauge", "Seconds until failover, reset by each heartbeat.",
            [
                ({"source": each.request.source}, each.time_to_fail)
                for each in monitors
                if each.time_to_fail is not None
            ],
        ),
        _family(
            "uncovered_directories", "gauge", "Directories of applications that no replication set holds.",
            [({}, uncovered)],
        ),
    ]  # fmt: skip
    return "".join(_text(*family) for family in families if family[3])


def _connections(sample: Sample) -> list[Family]:
    labels = [
        {"connection": str(each.id), "replication_set": each.replication_set, "target": each.target}
        for each in sample.connections
    ]
    found = [
        _family(
            name,
            kind,
            text,
            [(label, getattr(each, field)) for label, each in zip(labels, sample.connections, strict=True)],
        )
        for name, kind, field, text in _CONNECTION
    ]
    states = [({**label, "state": each.state}, 1.0) for label, each in zip(labels, sample.connections, strict=True)]
    return [_family("connection_state", "gauge", "1 for the state that a connection is in.", states), *found]


def _replicas(sample: Sample) -> list[Family]:
    labels = [{"source": each.source, "replication_set": each.replication_set} for each in sample.replicas]
    found = [
        _family(
            name,
            "gauge",
            text,
            [(label, getattr(each, field)) for label, each in zip(labels, sample.replicas, strict=True)],
        )
        for name, field, text in _REPLICA
    ]
    states = [({**label, "state": each.state}, 1.0) for label, each in zip(labels, sample.replicas, strict=True)]
    return [_family("replica_state", "gauge", "1 for the state that a replica here is in.", states), *found]


def _restorations(sample: Sample) -> list[Family]:
    """Those that run."""
    labels = [
        {"restoration": str(each.id), "source": each.original_source, "replication_set": each.replication_set}
        for each in sample.restorations
    ]
    return [
        _family(
            name,
            "gauge",
            text,
            [(label, getattr(each, field)) for label, each in zip(labels, sample.restorations, strict=True)],
        )
        for name, field, text in _RESTORATION
    ]


def _family(name: str, kind: str, text: str, samples: list[tuple[dict[str, str], float]]) -> Family:
    return f"bodydouble_{name}", kind, text, samples


def _text(name: str, kind: str, text: str, samples: list[tuple[dict[str, str], float]]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {float(value)!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """A label's value: backslash, quotation mark and line feed are escaped; what is no text is replaced."""
    plain = value.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
