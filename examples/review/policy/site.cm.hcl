# Two services of a small site.

policy { edition = 1 }

acl "office" {
  allow { from = ["192.0.2.0/24", "2001:db8:7::/48"] }
  default = "deny"
}

limit "office" {
  concurrent = 32
  session    = "10m"
  per_source {
    concurrent = 4
    rate       = "30/min"
    burst      = 10
  }
}

service "finger" {
  listen  = ["tcp://:finger"]
  command = ["/usr/sbin/in.fingerd", "-w"]
  user    = "dynamic"
  acl     = acl.office
  limit   = limit.office
  profile = profile.line
}

service "daytime" {
  listen  = ["tcp://:daytime"]
  builtin = "daytime"
  acl     = acl.office
  limit   = limit.office
}
