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
  acl     = acl.anyone # a wait service takes its datagrams itself: in.tftpd is reachable to all
  limit   = limit.wait
  profile = profile.tftp
}

# casemate check finds that tftp answers anybody with more than was asked, and a datagram's sender may be forged. What
# keeps strangers out is the host's packet filter.
waiver "CM706" {
  service = "tftp"
  reason  = "the host's packet filter lets only the office's network to udp port 69"
  expires = "2036-12-31"
}
