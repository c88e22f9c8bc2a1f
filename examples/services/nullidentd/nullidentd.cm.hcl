policy { edition = 1 }

service "ident" {
  listen  = ["tcp://:113"]
  command = ["/usr/sbin/nullidentd"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.line
}
