package facts

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// unmapped are file systems that no kernel mounts with other ids (they lack FS_ALLOW_IDMAP in Linux 6.18), or only where who serves them
// allows it, by the magic numbers of statfs(2).
var unmapped = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB2_SUPER_MAGIC: "cifs", unix.CIFS_SUPER_MAGIC: "cifs", unix.V9FS_MAGIC: "9p", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.RAMFS_MAGIC: "ramfs", unix.AFS_SUPER_MAGIC: "afs", unix.FUSE_SUPER_MAGIC: "fuse",
}

// unmappedAt is the kind of the file system that a directory is on, or will be when it is made, where that is one of unmapped; "" where it
// is another, or nobody can tell.
func unmappedAt(dir string) string {
	for {
		var s unix.Statfs_t
		switch err := unix.Statfs(dir, &s); {
		case err == nil:
			return unmapped[int64(s.Type)]
		case err != unix.ENOENT || dir == "/":
			return ""
		}
		dir = filepath.Dir(dir)
	}
}
