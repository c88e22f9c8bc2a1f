policy { edition = 1 }

service "proftpd" {
  listen  = ["tcp://:2121"]
  command = ["/usr/sbin/proftpd", "-c", "/etc/proftpd/proftpd.conf"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.proftpd
}

profile "proftpd" {
  base = profile.ftpd
  files { read = ["/etc/proftpd"] }
}
