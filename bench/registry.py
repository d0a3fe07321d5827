"""Debian's docker-registry on the machine's end of a lab's network: Swarm stalls without one."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.labs import IMAGE, until
from shoal.lab import Lab
from shoal.lab.system import environment, run

_PORT = 5000
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}/data}}}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def registry_with_image(lab: Lab) -> Iterator[str]:
    """The reference of the demo image in a registry that all hosts reach. All have pulled it."""
    address = f"{lab.spec.subnet}.1:{_PORT}"
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "config.yml")
        config.write_text(_CONFIG.format(directory=directory, address=address))
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        try:
            reference = f"{address}/{IMAGE}:bench"
            _distribute(lab, reference)
            yield reference
        finally:
            process.kill()
            process.wait()


def _distribute(lab: Lab, reference: str) -> None:
    first, *rest = [["docker", "--host", f"unix://{h.engine_socket}"] for h in lab.hosts]
    run([*first, "tag", IMAGE, reference])
    until("the registry takes the image", lambda: run([*first, "push", reference], timeout=60))
    for docker in rest:
        run([*docker, "pull", "--quiet", reference], timeout=60)
