policy { edition = 1 }

profile "dictd" {
  base = profile.line
  files {
    read = ["/srv/dict"]
  }
}

service "dict" {
  listen  = ["tcp://:2628"]
  command = ["/usr/sbin/dictd", "--inetd", "--config", "/srv/dict/dictd.conf"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.dictd
}
