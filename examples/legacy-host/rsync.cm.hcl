# rsync rsync://host/files/. Needs a user and group `rsync` that own
# /srv/rsync, and /etc/rsyncd.conf, for example:
#
#   [files]
#   path = /srv/rsync
#   read only = no
#   use chroot = no
#   reverse lookup = no

profile "rsync" {
  base   = profile.server
  widens = ["files"]
  files {
    read  = ["/etc/rsyncd.conf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache"]
    write = ["/srv/rsync"]
    tmp   = "16MiB"
  }
}

service "rsync" {
  listen  = ["tcp://:rsync"]
  command = ["/usr/bin/rsync", "--daemon", "--config=/etc/rsyncd.conf"]
  user    = "rsync"
  acl     = acl.office
  limit   = limit.office
  profile = profile.rsync
}
