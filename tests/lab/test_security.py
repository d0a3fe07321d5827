"""Who may join, who may talk to a node, and what stays secret."""

import re
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cloud import Cloud, Done, eventually
from lab_support import MakeLab

from shoal.lab import Lab
from shoal.node.certificates import create_authority, issue, signing_request
from shoal.node.identity import load_or_create_identity
from shoal.node.tokens import Token, parse_token

pytestmark = pytest.mark.lab

_PORT = 7440
_MEMBERSHIP = 7442


@pytest.fixture(scope="module")
def lab(make_lab: MakeLab) -> Iterator[Lab]:
    """Host a is a cloud of its own; b belongs to none."""
    made = make_lab(hosts=2, daemons=False)
    made.start_daemons(["a"])
    yield made
    made.down()


def new_token(lab: Lab, *words: str) -> Token:
    done = Cloud(lab).shoal("a", "token", "create", *words)
    assert done.returncode == 0, done.stderr
    return parse_token(done.stdout)


def join(lab: Lab, token: str, *, patch: str = "") -> Done:
    """Try to join host b; the token comes in a file. `patch` runs before the command."""
    state = lab.host("b").disk / "other-state"
    file = lab.host("b").disk / "token"
    file.touch(mode=0o600)
    file.write_text(token)
    words = ["join", "--token-file", str(file), "--name", "b", "--state-dir", str(state)]
    words += ["--address", lab.host("b").address, "--engine", "unix:///run/shoal/engine.sock"]
    program = (
        f"{patch}\nimport sys\nfrom shoal.cli.main import main\nsys.argv[1:] = {words!r}\nmain()"
    )
    return lab.host("b").exec(sys.executable, "-c", program, check=False, timeout=40)


def is_refused(lab: Lab, done: Done, words: str) -> None:
    """One line that says why; and nobody has joined."""
    assert done.returncode not in (0, None)
    assert re.search(words, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert len(Cloud(lab).native("a", "/v1/nodes")) == 1
    assert not (lab.host("b").disk / "other-state" / "credentials.json").exists()


def test_a_token_with_a_wrong_secret_is_refused(lab: Lab) -> None:
    token = new_token(lab)
    wrong = Token(token.addresses, token.authority, token.token_id, bytes(32))
    is_refused(lab, join(lab, str(wrong)), "does not know this token")
    unknown = Token(token.addresses, token.authority, "0" * 12, token.secret)
    is_refused(lab, join(lab, str(unknown)), "does not know this token")


def test_a_token_of_another_cloud_is_refused(lab: Lab) -> None:
    token = new_token(lab)
    foreign = Token(token.addresses, bytes(32), token.token_id, token.secret)
    is_refused(lab, join(lab, str(foreign)), "not of the cloud that made this token")


def test_an_expired_token_is_refused(lab: Lab) -> None:
    token = new_token(lab, "--ttl", "1s")
    time.sleep(1.2)
    is_refused(lab, join(lab, str(token)), "the token expired")


def test_a_damaged_token_is_refused(lab: Lab) -> None:
    text = str(new_token(lab))
    for damaged in (text[:-20], text[7:], text + "!", "", text[:40] + "\n" + text[40:]):
        is_refused(lab, join(lab, damaged), "token")


def test_a_token_whose_nodes_do_not_answer_says_what_to_check(lab: Lab) -> None:
    token = new_token(lab)
    nowhere = Token((f"{lab.host('b').address}:9",), token.authority, token.token_id, token.secret)
    is_refused(lab, join(lab, str(nowhere)), "check that the addresses can be reached")


def test_a_peer_that_is_too_old_is_told_to_update(lab: Lab) -> None:
    old = "import shoal\nshoal.PROTOCOL = 0\nshoal.OLDEST_PROTOCOL = 0"
    is_refused(lab, join(lab, str(new_token(lab)), patch=old), "protocol 0.*1")
    new = "import shoal\nshoal.PROTOCOL = 9\nshoal.OLDEST_PROTOCOL = 9"
    is_refused(lab, join(lab, str(new_token(lab)), patch=new), "protocol")


def dial(lab: Lab, alpn: str, *, certificate: Path | None = None, key: Path | None = None) -> bytes:
    """What a node says to somebody who is no member and asks for its engine, or nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    address = (lab.host("a").address, _PORT)
    try:
        with (
            socket.create_connection(address, timeout=10) as plain,
            context.wrap_socket(plain) as link,
        ):
            link.sendall(b"GET /containers/json?all=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            return link.recv(4096)
    except (ConnectionError, ssl.SSLError):
        return b""


@pytest.mark.parametrize("alpn", ["shoal-engine", "shoal-rpc", "h2"])
def test_a_stranger_without_certificate_gets_nothing(lab: Lab, alpn: str) -> None:
    assert dial(lab, alpn) == b""


def test_a_certificate_of_another_cloud_opens_nothing(lab: Lab, tmp_path: Path) -> None:
    identity = load_or_create_identity(tmp_path / "state")
    _, certificate = issue(create_authority("f" * 32), "f" * 32, signing_request(identity))
    file = tmp_path / "node.crt"
    file.write_text(certificate)
    for alpn in ("shoal-engine", "shoal-rpc"):
        assert dial(lab, alpn, certificate=file, key=identity.key_path) == b""


def test_a_node_speaks_no_plain_http_and_no_old_tls(lab: Lab) -> None:
    address = (lab.host("a").address, _PORT)
    with socket.create_connection(address, timeout=10) as plain:
        plain.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP" not in plain.recv(4096)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(address, timeout=10) as plain,
        pytest.raises(OSError, match=r"(?i)version|reset|eof|alert"),
    ):
        context.wrap_socket(plain)


def test_a_node_listens_on_nothing_else(lab: Lab) -> None:
    listening = lab.host("a").exec("ss", "-Hlntu").stdout
    found = {tuple(line.split()[i] for i in (0, 4)) for line in listening.splitlines()}
    address = lab.host("a").address
    assert {one for one in found if not one[1].startswith(("127.", "[::1]"))} == {
        ("tcp", f"{address}:{_PORT}"),
        ("tcp", f"{address}:{_MEMBERSHIP}"),
        ("udp", f"{address}:{_MEMBERSHIP}"),
    }


def test_sockets_and_secrets_are_for_root_and_the_group_only(lab: Lab) -> None:
    host = lab.host("a")
    for socket_file in (host.api_socket, host.shoal_socket):
        assert stat.S_IMODE(socket_file.stat().st_mode) == 0o660
        assert socket_file.stat().st_uid == 0
    state = host.disk / "shoal"
    readable = {
        file.name for file in state.rglob("*") if file.is_file() and file.stat().st_mode & 0o077
    }
    assert not readable & {"node.key", "box.key", "gossip.key"}
    assert not {name for name in readable if "sqlite" in name or name.endswith((".db", ".key"))}


def test_a_good_token_lets_in_and_no_secret_shows(lab: Lab) -> None:
    token = new_token(lab)
    lab.start_daemons(["b"])
    cloud = Cloud(lab)
    eventually("both see both", cloud.whole, timeout=30)
    secrets = [str(token), token.secret.hex(), str(token).removeprefix("shoal1.")[-30:]]
    secrets += [(host.disk / "shoal" / "gossip.key").read_bytes().hex() for host in lab.hosts]
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    logs = "".join(log.read_text(errors="replace") for log in lab.logs())
    for secret in secrets:
        assert secret not in arguments.stdout
        assert secret not in logs
    assert "shoal1." not in arguments.stdout
    assert "shoal1." not in logs
    assert "PRIVATE KEY" not in logs
    again = lab.host("b").exec(
        *[sys.executable, "-m", "shoal", "join", "--state-dir", str(lab.host("b").disk / "shoal")],
        *["--token-file", "/dev/stdin"],
        check=False,
    )
    assert again.returncode != 0
    assert "Traceback" not in again.stderr
