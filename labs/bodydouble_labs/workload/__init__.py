"""The workload: what the clients of the site do, and the history of what they saw."""

from bodydouble_labs.workload.content import SiteContent
from bodydouble_labs.workload.workload import Workload

__all__ = ["SiteContent", "Workload"]
