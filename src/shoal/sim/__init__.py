"""The production cores in virtual time, under faults drawn from a seed.

Another shell around `NodeCore`: what the daemon does with clocks, sockets, a disk and an engine,
this does with models of them, so that every run can be repeated from its seed.
"""
