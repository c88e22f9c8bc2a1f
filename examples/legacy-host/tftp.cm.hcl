# in.tftpd answers from a socket of its own for every transfer, so it needs the
# host's network, and it changes its root and user itself, so it starts as root
# with just the capabilities for that. The filter still keeps it to its calls.

profile "tftp" {
  base    = profile.server
  widens  = ["files", "network", "syscalls", "capabilities"]
  because = "in.tftpd chroots, changes its user, and opens a udp socket for every transfer"
  network { mode = "host" }
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  files {
    read  = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/ld.so.cache"]
    write = ["/srv/tftp"]
  }
  syscalls { allow = ["@identity", "@socket-server", "chroot"] }
}

service "tftp" {
  listen  = ["udp4://:tftp"]
  command = ["/usr/sbin/in.tftpd", "--secure", "--create", "--user", "tftp", "/srv/tftp"]
  user    = "root"
  because = "see profile tftp"
  wait    = true
  acl     = acl.office
  refuse  = "silent" # it takes its datagrams itself: the kernel drops the others' at the socket
  limit   = limit.wait
  profile = profile.tftp
}
