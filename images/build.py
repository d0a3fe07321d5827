"""Pack the demo images from the machine's static busybox into an archive for `docker load`.

Usage: python3 images/build.py ARCHIVE [--busybox PATH]. Standard library only.
"""

import argparse
import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parent
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
#: Fixed, so that equal input gives equal image ids.
_CREATED = "2026-01-01T00:00:00Z"


class File(NamedTuple):
    """A file of an image; `link` makes it a symbolic link, no content a directory."""

    path: str
    content: bytes | None = None
    link: str = ""
    mode: int = 0o755


class Image(NamedTuple):
    tag: str
    layers: list[bytes]
    config: dict[str, Any]


def layer(files: list[File]) -> bytes:
    """A layer: an uncompressed tar without times or owners."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.mode = file.mode
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
            elif file.content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content or b""))
    return packed.getvalue()


def base_layer(busybox: Path) -> bytes:
    """busybox, a link per command, and the few files that programs expect."""
    commands = subprocess.run(
        [str(busybox), "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    files = [File(d) for d in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "var")]
    files.append(File("tmp", mode=0o1777))
    files.append(File("bin/busybox", busybox.read_bytes()))
    files += [File("bin/" + c, link="busybox") for c in sorted(commands) if c != "busybox"]
    files.append(File("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644))
    files.append(File("etc/group", b"root:x:0:\n", mode=0o644))
    return layer(files)


def images(busybox: Path) -> list[Image]:
    base = base_layer(busybox)
    start = (_HERE / "demo-web" / "start").read_bytes()
    web = layer([File("usr"), File("usr/bin"), File("usr/bin/start-web", start)])
    return [
        Image("busybox:latest", [base], {"Cmd": ["sh"], "Env": [_PATH]}),
        Image(
            "demo/web:latest",
            [base, web],
            {
                "Cmd": ["/usr/bin/start-web"],
                "Env": [_PATH],
                "ExposedPorts": {"80/tcp": {}},
                "StopSignal": "SIGTERM",
            },
        ),
    ]


def archive(contents: list[Image], out: Path) -> None:
    """Write the images as `docker save` would."""
    manifest = []
    files: dict[str, bytes] = {}
    machine = platform.machine()
    for image in contents:
        digests = [hashlib.sha256(data).hexdigest() for data in image.layers]
        description = {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": _CREATED,
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in digests]},
            "history": [{"created": _CREATED, "created_by": "images/build.py"} for _ in digests],
        }
        encoded = json.dumps(description, sort_keys=True).encode()
        name = hashlib.sha256(encoded).hexdigest() + ".json"
        paths = [digest + "/layer.tar" for digest in digests]
        files[name] = encoded
        files.update(zip(paths, image.layers, strict=True))
        manifest.append({"Config": name, "RepoTags": [image.tag], "Layers": paths})
    files["manifest.json"] = json.dumps(manifest).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(layer([File(name, data, mode=0o644) for name, data in files.items()]))


def find_busybox(given: str | None) -> Path:
    """The static busybox to pack; exits with a line that says how to get one."""
    found = given or shutil.which("busybox")
    if not found:
        sys.exit("images/build.py: no busybox here: install the package busybox-static")
    path = Path(found).resolve()
    # A dynamic program names its loader in the first bytes; in an image there is none.
    if b"/ld-" in path.read_bytes()[:4096]:
        sys.exit(f"images/build.py: {path} is not static: install the package busybox-static")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the demo images for `docker load`.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--busybox", metavar="PATH")
    options = parser.parse_args()
    archive(images(find_busybox(options.busybox)), options.archive)


if __name__ == "__main__":
    main()
