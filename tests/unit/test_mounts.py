"""Where changes are told by events, and where somebody has to look again and again, from the kernel's own table."""

from pathlib import PurePosixPath

import pytest

from appliance.model import mounts

TABLE = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=1g
25 22 0:40 / /mnt/nfs rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2
26 22 0:40 /gateway/workloads /var/cache/gateway/workloads rw,relatime - nfs4 server:/export rw,vers=4.2
27 22 0:41 / /mnt/host rw - virtiofs hostshare rw
28 22 0:42 / /mnt/vbox rw - vboxsf share rw
29 22 0:43 / /mnt/plan9 rw - 9p hostshare rw,trans=virtio
30 22 0:44 / /mnt/windows rw - cifs //server/share rw
31 22 0:45 / /mnt/ssh rw - fuse.sshfs user@host:/ rw
32 22 0:46 / /mnt/docker rw - fuse.grpcfuse grpcfuse rw
33 22 8:17 / /mnt/usb rw - fuseblk /dev/sdb1 rw
34 22 0:47 / /mnt/with\040space rw master:3 propagate_from:2 - smb3 //server/share rw
35 22 0:48 / /srv/local rw - overlay overlay rw,lowerdir=/var/lib/lower:/usr,upperdir=/var/lib/upper,workdir=/w
36 22 0:49 / /srv/remote rw - overlay overlay rw,lowerdir=/mnt/nfs/lower,upperdir=/var/lib/upper,workdir=/w
37 22 0:50 / /srv/over rw - overlay overlay rw,lowerdir=/usr,upperdir=/mnt/ssh/upper,workdir=/w
38 25 0:51 / /mnt/nfs/local rw - tmpfs tmpfs rw
39 22 0:52 / /mnt/twice rw - nfs4 server:/export rw
40 39 254:1 /data /mnt/twice rw - ext4 /dev/vda1 rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib", None),
        ("/run/gateway", None),
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfs/deep/down", "nfs4"),
        ("/mnt/nfs-not", None),
        ("/mnt/nfs/local/x", None),
        ("/var/cache/gateway/workloads", "nfs4"),
        ("/var/cache/gateway/proxy", None),
        ("/mnt/host/a", "virtiofs"),
        ("/mnt/vbox", "vboxsf"),
        ("/mnt/plan9", "9p"),
        ("/mnt/windows", "cifs"),
        ("/mnt/ssh/a", "fuse.sshfs"),
        ("/mnt/docker", "fuse.grpcfuse"),
        ("/mnt/usb", None),
        ("/mnt/with space/a", "smb3"),
        ("/srv/local/a", None),
        ("/srv/remote/a", "overlay on nfs4"),
        ("/srv/over", "overlay on fuse.sshfs"),
        ("/mnt/twice/a", None),
    ],
)
def test_the_filesystem_of_a_path_decides(path: str, expected: str | None) -> None:
    assert mounts.silent_kind(mounts.parse(TABLE), PurePosixPath(path)) == expected


@pytest.mark.parametrize(
    ("device", "expected"), [("0:40", "nfs4"), ("254:1", None), ("0:45", "fuse.sshfs"), ("99:9", "virtiofs")]
)
def test_the_device_of_a_path_says_it_best(device: str, expected: str | None) -> None:
    """One mount may hide another; a device that the table does not know (a subvolume) leaves the path to decide."""
    assert mounts.silent_kind(mounts.parse(TABLE), PurePosixPath("/mnt/host"), device) == expected


@pytest.mark.parametrize("table", ["", "nonsense\n", "1 2 3\n - \n"])
def test_a_table_that_says_nothing_makes_nothing_silent(table: str) -> None:
    assert mounts.silent_kind(mounts.parse(table), PurePosixPath("/srv")) is None
