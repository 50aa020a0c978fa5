"""File systems of other machines are recognised by the list of mounts."""

import pytest

from actlab.system.network_file_system import network_file_system

MOUNTS = """overlay / overlay rw 0 0
server:/home /net/home nfs4 rw 0 0
tmpfs /net/home/scratch tmpfs rw 0 0
//nas/share /media/my\\040share cifs rw 0 0
me@host:/data /home/me/data fuse.sshfs rw 0 0
drvfs /mnt/c 9p rw 0 0
/dev/sda1 /over ext4 rw 0 0
server:/x /over nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/root/a.db", None),
        ("/net/home/me/a.db", "nfs4"),
        ("/net/homes/a.db", None),
        ("/net/home/scratch/a.db", None),
        ("/media/my share/a.db", "cifs"),
        ("/home/me/data/new/a.db", "fuse.sshfs"),
        ("/mnt/c/Users/a.db", "9p"),
        ("/over/a.db", "nfs"),
    ],
)
def test_the_innermost_mount_that_holds_the_path_decides(tmp_path, path, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    assert network_file_system(type(mounts)(path), mounts) == kind


def test_where_mounts_are_not_listed_nothing_is_said(tmp_path):
    assert network_file_system(tmp_path, tmp_path / "none") is None
