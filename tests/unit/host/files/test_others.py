import os
from pathlib import Path

import pytest

from mesh.host.files.others import keep_aside, rewrite, why_locked
from mesh.host.system.run import make_folder, write_file

USER = 1234


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_bytes(b"old")
    path.chmod(0o644)
    return path


def test_owner_mode_and_attributes_stay(file: Path) -> None:
    os.chown(file, USER, USER)
    file.chmod(0o640)
    os.setxattr(file, "user.note", b"mine")
    os.utime(file, (1, 1))
    rewrite(file, b"new\xff\x00", mode_if_new=0o644)
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (USER, USER, 0o640)
    assert os.getxattr(file, "user.note") == b"mine"
    assert file.read_bytes() == b"new\xff\x00"
    assert found.st_mtime > 1  # who watches the file must see the change


def test_a_link_is_followed_and_other_names_see_the_change(file: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to("hosts")
    other.hardlink_to(file)
    for content in (b"longer than before\n", b"", b"x"):
        rewrite(link, content, mode_if_new=0o600)
        assert (link.is_symlink(), file.read_bytes(), other.read_bytes()) == (True, content, content)
    assert file.stat().st_nlink == 2


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000, 0o777])
def test_a_new_file_and_its_folders_have_the_mode_that_is_meant(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        rewrite(tmp_path / "a" / "b" / "keys", b"x", mode_if_new=0o600)
        make_folder(tmp_path / "c" / "d", 0o755)
        write_file(tmp_path / "c" / "file", b"x", 0o644)
    finally:
        os.umask(former)
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    assert modes == {
        "a": 0o700,
        "a/b": 0o700,
        "a/b/keys": 0o600,
        "c": 0o755,
        "c/d": 0o755,
        "c/file": 0o644,
    }


def test_what_lies_in_the_way_is_kept_each_time(file: Path, tmp_path: Path) -> None:
    names = []
    for content in (b"1", b"2", b"3"):
        file.write_bytes(content)
        names.append(keep_aside(file, "by-hand").name)
    assert names == ["hosts.by-hand", "hosts.by-hand.2", "hosts.by-hand.3"]
    assert [(tmp_path / name).read_bytes() for name in names] == [b"1", b"2", b"3"]
    link = tmp_path / "link"
    link.symlink_to("/nowhere")
    assert str(keep_aside(link, "before-wgmesh").readlink()) == "/nowhere"


def test_a_file_that_can_be_written_is_not_locked(file: Path, tmp_path: Path) -> None:
    assert why_locked(file) is None
    assert why_locked(tmp_path / "none" / "there") is None
