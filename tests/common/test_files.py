"""What the disk refuses is said in one sentence, wherever a file is written."""

import errno
import os

import pytest

from common.errors import UserError
from common.files import atomic_open, disk_errors
from interop.new_folder import new_folder


def write(path):
    with atomic_open(path, "w") as file:
        file.write("text")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file/x", "a file is where a folder is needed; choose another path"),
        ("file/x/y", "a file is where a folder is needed; choose another path"),
        ("folder", "Is a directory; choose another path"),
        ("中" * 90, "File name too long; choose another path"),
        ("中" * 90 + "/x", "File name too long; choose another path"),
    ],
)
def test_a_path_that_cannot_be(tmp_path, name, says):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        write(tmp_path / name)
    assert str(caught.value).startswith(f"cannot write {tmp_path / name}: ")
    assert str(caught.value).endswith(says)
    if name != "folder":
        with pytest.raises(UserError, match=says), new_folder(tmp_path / name):
            pass


def test_another_file_that_is_missing_is_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path / "a" / "out"):
        open(tmp_path / "elsewhere" / "in")


@pytest.mark.parametrize(
    "error", [OSError("100 requested and 0 written"), OSError(errno.ENOSPC, "full")]
)
def test_a_full_disk_with_and_without_its_number(tmp_path, error):
    with pytest.raises(UserError, match="No space left on device; make room or use another disk"):
        with disk_errors(tmp_path / "out"):
            raise error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="choose a folder that you may write to"):
        write(tmp_path / "x")
