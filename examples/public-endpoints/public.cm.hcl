# Public, rate-limited endpoints for the world: time of day, echo and friends.
# udp replies are never larger than their request and never go to a port where
# another such service could sit, so nobody can aim them at a third party.

policy { edition = 1 }

limit "public" {
  concurrent = 256
  rate       = "200/s"
  burst      = 400
  session    = "30s"
  per_source {
    concurrent  = 4
    rate        = "30/min"
    burst       = 10
    ipv4_prefix = 32
    ipv6_prefix = 64
  }
  penalty {
    on    = ["timeout"]
    first = "30s"
    max   = "10m"
  }
}

service "daytime" {
  listen  = ["tcp://:daytime", "udp://:daytime"]
  builtin = "daytime"
  acl     = acl.anyone
  limit   = limit.public
}

service "time" {
  listen  = ["tcp://:time", "udp://:time"]
  builtin = "time"
  acl     = acl.anyone
  limit   = limit.public
}

service "echo" {
  listen  = ["tcp://:echo", "udp://:echo"]
  builtin = "echo"
  acl     = acl.anyone
  limit   = limit.public
}

service "discard" {
  listen  = ["tcp://:discard", "udp://:discard"]
  builtin = "discard"
  acl     = acl.anyone
  limit   = limit.public
}

service "chargen" {
  listen  = ["tcp://:chargen", "udp://:chargen"]
  builtin = "chargen"
  acl     = acl.anyone
  limit   = limit.public
}

service "qotd" {
  listen  = ["tcp://:qotd", "udp://:qotd"]
  builtin = "qotd"
  says = [
    "Perfection is reached when there is nothing left to take away.",
    "Simplicity is prerequisite for reliability.",
  ]
  acl   = acl.anyone
  limit = limit.public
}
