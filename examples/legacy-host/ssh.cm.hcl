# A login over ssh for the one user `guest`, whose home is /home/guest.
# dropbear runs as that user: it can log nobody else in. Needs a host key that
# guest can read: dropbearkey -t ed25519 -f /etc/dropbear/guest_key
#
# Commands, shells, scp and full-screen programs work: each connection has
# terminals of its own, and sees nobody else's.

profile "ssh" {
  base   = profile.login
  widens = ["files"]
  files {
    read  = ["/etc/passwd", "/etc/group", "/etc/shells", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/dropbear"]
    write = ["/home/guest"]
    tmp   = "16MiB"
  }
}

service "ssh" {
  listen  = ["tcp://:2222"]
  command = ["/usr/sbin/dropbear", "-i", "-s", "-r", "/etc/dropbear/guest_key"]
  user    = "guest"
  acl     = acl.office
  limit   = limit.office
  profile = profile.ssh
}
