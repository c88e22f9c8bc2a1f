policy { edition = 1 }

# atftpd has one socket for all its clients, and ends when nobody has asked it for a while.
service "atftp" {
  listen  = ["udp4://:tftp"]
  command = ["/usr/sbin/atftpd", "--tftpd-timeout", "60", "--no-multicast", "--maxthread", "16", "/srv/atftp"]
  user    = "atftp"
  wait    = true
  acl     = acl.anyone # with wait it takes its datagrams itself
  limit   = limit.wait
  profile = profile.atftp
}

profile "atftp" {
  base    = profile.files
  widens  = ["files", "network", "syscalls"]
  because = "it answers each transfer from a port of its own"
  network {
    mode    = "host"
    sockets = ["udp"]
  }
  files { write = ["/srv/atftp"] }
  syscalls { allow = ["bind"] }
}

# casemate check finds that tftp answers anybody with more than was asked, and a datagram's sender may be forged.
waiver "CM706" {
  service = "atftp"
  reason  = "the host's packet filter lets only the network that boots from it to udp port 69"
  expires = "2036-12-31"
}
