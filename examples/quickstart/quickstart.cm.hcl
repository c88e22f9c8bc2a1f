# Six services on loopback, each under another profile. `make run` serves them.

policy { edition = 1 }

# A program that knows nothing of networks: it reads lines and writes lines.
service "factor" {
  listen  = ["tcp://127.0.0.1:7001"]
  command = ["/usr/bin/factor"]
  user    = "dynamic" # a uid of its own for every connection
  acl     = acl.localhost
  profile = profile.line
}

# A shell script may start helpers, so it gets the server profile: a private
# /tmp and /proc, and an init that reaps what it leaves behind.
service "look" {
  listen  = ["tcp://127.0.0.1:7002", "tcp://[::1]:7002"]
  command = ["/bin/sh", "-c", "echo \"You are $REMOTE_ADDR, I am uid $(id -u), and this is all I see:\"; ls -l / /tmp/; echo processes: /proc/[0-9]*"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.server
}

# One connection a second for each source, and no more than two at a time.
limit "slow" {
  concurrent = 16
  session    = "1m"
  per_source {
    concurrent = 2
    rate       = "1/s"
    burst      = 3
  }
}

service "limited" {
  listen  = ["tcp://127.0.0.1:7003"]
  command = ["/bin/date"]
  user    = "dynamic"
  acl     = acl.localhost
  limit   = limit.slow
  profile = profile.line
  banner  = "slow down"
}

# Nobody from here: the log and `casemate explain closed 127.0.0.1` say why.
acl "elsewhere" {
  allow { from = ["192.0.2.0/24"] }
  default = "deny"
}

service "closed" {
  listen  = ["tcp://127.0.0.1:7004"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.elsewhere
  profile = profile.line
}

# Served by casemate itself, in a sandbox like the others.
service "daytime" {
  listen  = ["tcp://127.0.0.1:7013", "udp://127.0.0.1:7013"]
  builtin = "daytime"
  acl     = acl.localhost
}

service "echo" {
  listen  = ["tcp://127.0.0.1:7007", "udp://127.0.0.1:7007"]
  builtin = "echo"
  acl     = acl.localhost
}
