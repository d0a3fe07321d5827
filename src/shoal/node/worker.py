"""The node's process: `python -m shoal.node.worker STATE_DIR`, started by the supervisor."""

import sys

from shoal.node.slim import slim


def main() -> int:
    slim()
    from shoal.node import serving

    return serving.main(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
