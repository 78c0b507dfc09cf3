"""The decision: a pure function from desired and observed state to the next steps.

    plan(desired, observed, memory, now_s=...) -> Plan

Pure: no I/O, clock, randomness, logging or environment. Same arguments, same plan, in the same order.
"""
