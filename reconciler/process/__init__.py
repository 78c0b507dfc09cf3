"""The one door to host processes that run nodes.

Rule: a process of ours is recognised by its uid and its arguments, `-m reconciler.node --instance I --name N`; it is
told from a later one with the same PID by its start time. Processes outlive the controller, so nothing is remembered:
each look reads the process table.
"""

from __future__ import annotations

from reconciler.process.host import HostProcesses, ProcessPort

__all__ = ["HostProcesses", "ProcessPort"]
