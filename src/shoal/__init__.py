"""Shoal: any set of Linux machines as one Docker host, with no master."""

__version__ = "0.1.0"

#: Version of the messages between nodes. A node talks to peers of OLDEST_PROTOCOL and later.
PROTOCOL = 1
OLDEST_PROTOCOL = 1
