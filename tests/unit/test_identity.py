"""Keys, certificates and sealed boxes."""

import hashlib
import os
from pathlib import Path

import pytest

from shoal.model.errors import BadRequest
from shoal.node.certificates import (
    create_authority,
    fingerprint,
    issue,
    new_cloud_id,
    node_of,
    server_name,
    signing_request,
)
from shoal.node.files import write_durably
from shoal.node.identity import (
    BadIdentity,
    Credentials,
    load_credentials,
    load_or_create_identity,
    save_credentials,
)
from shoal.node.sealed import Unsealable, seal, unseal


def test_an_identity_is_made_once_and_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = load_or_create_identity(state)
    assert first.node_id == hashlib.sha256(first.public).hexdigest()
    assert load_or_create_identity(state) == first
    for name in ("node.key", "box.key"):
        assert (state / name).stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_crash_while_making_keys_does_not_change_the_id(tmp_path: Path) -> None:
    first = load_or_create_identity(tmp_path)
    (tmp_path / "identity.json").unlink()
    (tmp_path / "box.key").unlink()
    again = load_or_create_identity(tmp_path)
    assert again.node_id == first.node_id
    assert again.box_public != first.box_public


def test_keys_that_others_can_read_or_that_are_damaged_are_refused(tmp_path: Path) -> None:
    identity = load_or_create_identity(tmp_path)
    identity.key_path.chmod(0o644)
    with pytest.raises(BadIdentity, match="can be read by others: run `chmod 600"):
        identity.key_pem()
    identity.key_path.chmod(0o600)
    (tmp_path / "identity.json").unlink()
    identity.key_path.write_bytes(b"rubbish")
    with pytest.raises(BadIdentity, match="cannot be used"):
        load_or_create_identity(tmp_path)


def test_credentials_are_saved_and_read(tmp_path: Path) -> None:
    assert load_credentials(tmp_path) is None
    credentials = Credentials("c" * 32, "n" * 64, "PEM", ("CA 1", "CA 2"))
    save_credentials(tmp_path, credentials)
    assert load_credentials(tmp_path) == credentials
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(BadIdentity, match="join again"):
        load_credentials(tmp_path)


def test_files_are_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / "file.new").write_text("left by a crash")
    before = os.umask(0)
    try:
        write_durably(path, b"one")
        write_durably(path, b"two")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_certificates_name_the_holder_of_the_key(tmp_path: Path) -> None:
    cloud = new_cloud_id()
    authority = create_authority(cloud)
    identity = load_or_create_identity(tmp_path)
    node_id, certificate = issue(authority, cloud, signing_request(identity))
    assert node_id == identity.node_id
    assert "BEGIN CERTIFICATE" in certificate
    assert len(fingerprint(authority.certificate)) == 32
    assert all(len(label) < 64 for label in server_name(node_id).split("."))
    assert node_of({"subjectAltName": (("DNS", server_name(node_id)),)}) == node_id
    for other in (None, {}, {"subjectAltName": (("DNS", "www.node.shoal"),)}):
        assert node_of(other) == ""


def test_a_damaged_signing_request_is_refused(tmp_path: Path) -> None:
    authority = create_authority(new_cloud_id())
    request = bytearray(signing_request(load_or_create_identity(tmp_path)))
    request[-1] ^= 1  # in the signature
    for damaged in (bytes(request), b"", b"rubbish"):
        with pytest.raises(BadRequest, match="request for a certificate is damaged"):
            issue(authority, "c", damaged)


def test_sealed_boxes_open_for_their_holder_only(tmp_path: Path) -> None:
    alice = load_or_create_identity(tmp_path / "alice")
    bob = load_or_create_identity(tmp_path / "bob")
    secret = b"the key of the authority"
    box = seal(alice.box_public, secret)
    assert secret not in box
    assert seal(alice.box_public, secret) != box
    assert unseal(alice.box_private(), box) == secret
    with pytest.raises(Unsealable, match="meant for another node"):
        unseal(bob.box_private(), box)
    for damaged in (b"", box[:40], b"\x02" + box[1:], box[:-1] + bytes([box[-1] ^ 1])):
        with pytest.raises(Unsealable, match="damaged"):
            unseal(alice.box_private(), damaged)
