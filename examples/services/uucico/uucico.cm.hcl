policy { edition = 1 }

profile "uucico" {
  base   = profile.server
  widens = ["files"]
  files {
    read  = ["/etc/group", "/etc/nsswitch.conf", "/etc/passwd", "/etc/uucp"]
    write = ["/var/log/uucp", "/var/spool/uucp", "/var/spool/uucppublic"]
  }
}

service "uucp" {
  listen  = ["tcp://:540"]
  command = ["/bin/sh", "-c", "exec /usr/lib/uucp/uucico -l"]
  user    = "uucp"
  acl     = acl.localhost
  profile = profile.uucico
}
