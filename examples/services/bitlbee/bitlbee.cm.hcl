policy { edition = 1 }

profile "bitlbee" {
  base   = profile.files
  widens = ["files"]
  files {
    read  = ["/etc/bitlbee", "/etc/nsswitch.conf", "/etc/passwd", "/usr/share/bitlbee"]
    write = ["/var/lib/bitlbee"]
  }
}

service "irc" {
  listen  = ["tcp://:6667"]
  command = ["/usr/sbin/bitlbee", "-I"]
  user    = "bitlbee"
  acl     = acl.localhost
  profile = profile.bitlbee
}
