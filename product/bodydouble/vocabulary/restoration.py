"""Records of restorations: what the Restoration Manager offers."""

from __future__ import annotations

from bodydouble.vocabulary.records import Record, ReplicationSet


class Restorable(Record, frozen=True):
    """What may be restored from this machine: a replica, and its set.

    Attributes:
        original_source: whose.
        replication_set: with its rules, so that a rebuilt source can be given it again.
        required: this machine stood in with it, and it was not restored since.
        complete: a mirror completed once; without that nothing is restored.
    """

    original_source: str
    replication_set: ReplicationSet
    required: bool
    complete: bool
