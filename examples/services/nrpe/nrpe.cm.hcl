policy { edition = 1 }

profile "nrpe" {
  base = profile.server
  files {
    read     = ["/etc/group", "/etc/nagios/inetd.cfg", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/openssl.cnf"]
    optional = ["/etc/ssl/openssl.cnf"]
  }
}

service "nrpe" {
  listen  = ["tcp://:5666"]
  command = ["/usr/sbin/nrpe", "-c", "/etc/nagios/inetd.cfg", "--inetd"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.nrpe
}
