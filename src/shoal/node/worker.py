"""The node's process: `python -m shoal.node.worker STATE_DIR`, started by the supervisor.

Before anything else is imported, what a daemon never uses is kept out of its memory.
"""

import os
import sys


def slim() -> None:
    """Save 5 MiB in a process that lives as long as the machine. Call before other imports."""
    # structlog loads rich and pygments, if they are there, for tracebacks in colours.
    sys.modules["rich"] = None  # type: ignore[assignment]
    # aiohttp loads the system's CA certificates on import. Nodes trust their own CA only.
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull


def main() -> int:
    slim()
    from shoal.node import serving

    return serving.main(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
