policy { edition = 1 }

profile "stunnel" {
  base    = profile.line
  widens  = ["network"]
  because = "it passes on what it hears to the service behind it"
  network {
    mode    = "host"
    connect = [7444]
  }
  files {
    read = ["/etc/stunnel"]
  }
}

service "tls" {
  listen  = ["tcp://:7443"]
  command = ["/usr/bin/stunnel4", "/etc/stunnel/plain.conf"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.stunnel
}

# What speaks no TLS, in a sandbox of its own and without the key.
profile "plain" {
  base = profile.line
  files {
    read = ["/srv/plain"]
  }
}

service "plain" {
  listen  = ["tcp://127.0.0.1:7444"]
  command = ["/usr/sbin/micro-httpd", "/srv/plain"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.plain
}
