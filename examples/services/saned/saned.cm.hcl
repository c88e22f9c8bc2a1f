policy { edition = 1 }

service "scan" {
  listen  = ["tcp://:6566"]
  command = ["/usr/sbin/saned"]
  user    = "dynamic"
  env     = { SANE_CONFIG_DIR = "/srv/saned" }
  acl     = acl.localhost
  profile = profile.saned
}

profile "saned" {
  base    = profile.line
  widens  = ["network"]
  because = "what is scanned goes over a connection of its own, to a port that it names"
  network {
    mode = "host"
    bind = ["10000-10100"]
  }
  files { read = ["/srv/saned"] }
}
