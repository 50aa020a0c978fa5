"""Network file systems, found in the kernel's list of mounts."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["network_file_system"]

# Types of file systems whose files other machines may change; FUSE shows the program's name after a dot.
_NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|davfs|gfs2?|gpfs|lustre|nfs4?|ocfs2|panfs|smb3?|smbfs|vboxsf|virtiofs|"
    r"fuse\.(sshfs|glusterfs|ceph|davfs2?|rclone|s3fs|gcsfuse|goofys|juicefs|smbnetfs|vmhgfs-fuse|grpcfuse|gvfsd-fuse)"
)


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """Return the type of the network file system that holds a path, such as "nfs4"; None for another or an unknown one.

    Args:
        path: a file or folder; it need not exist.
        mounts: the kernel's list of mounts.

    Example:
        >>> network_file_system(Path("/proc")) is None
        True
    """
    where = path.resolve()
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # another system than Linux
        return None
    kind = ""
    longest = -1
    for line in lines:
        fields = line.split(" ")
        point = Path(_unescape(fields[1]))
        if where.is_relative_to(point) and len(point.parts) >= longest:  # of two at one place, the later one is seen
            longest, kind = len(point.parts), fields[2]
    return kind if _NETWORK.fullmatch(kind) else None


def _unescape(text: str) -> str:
    """Return a path of the list of mounts, which writes blanks as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
