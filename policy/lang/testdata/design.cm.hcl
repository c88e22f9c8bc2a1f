policy { edition = 1 }

locals { office = ["192.0.2.0/24", "2001:db8:10::/48"] }

acl "office" {
  deny { from = ["192.0.2.66"] }
  allow {
    from   = concat(local.office, [".example.org"])
    except = ["cgi.example.org"]
  }
  default = "deny"
}

limit "public" {
  concurrent = 64
  rate       = "50/s"
  burst      = 100
  session    = "10m"
  per_source {
    concurrent  = 4
    rate        = "10/min"
    burst       = 5
    ipv4_prefix = 32
    ipv6_prefix = 64
  }
  penalty {
    on    = ["crash", "violation", "timeout"]
    first = "90s"
    max   = "10m"
  }
}

profile "finger" {
  base = profile.line # shipped: strict, line, files, server, login, builtin
  files {
    read = ["/etc/passwd", "/var/lib/finger"]
    tmp  = "1MiB"
  }
  resources {
    memory    = "64MiB"
    processes = 8
  }
}

service "finger" {
  listen  = ["tcp://:finger", "tcp://[::1]:7979"]
  command = ["/usr/sbin/in.fingerd", "-w"]
  user    = "nobody" # or "dynamic": a leased uid for every connection
  acl     = acl.office
  limit   = limit.public
  profile = profile.finger
}

service "daytime" {
  listen  = ["tcp://:daytime", "udp://:daytime"]
  builtin = "daytime"
  acl     = acl.anyone
  limit   = limit.public
}
