policy { edition = 1 }

# It answers on the client's second port, from one below 1024 (rcmd(3)).
profile "rshd" {
  base         = profile.telnetd
  widens       = ["capabilities", "network"]
  because      = "rsh(1) wants its standard error on a connection back to it, between ports below 1024"
  capabilities = ["CAP_NET_BIND_SERVICE"]
  network {
    mode    = "host"
    connect = ["512-1023"]
    bind    = ["512-1023"]
  }
  files {
    read     = ["/etc/hosts.equiv"]
    optional = ["/etc/hosts.equiv"]
  }
}

service "shell" {
  listen  = ["tcp://:514"]
  command = ["/usr/sbin/in.rshd"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.rshd
}
