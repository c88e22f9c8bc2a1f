policy { edition = 1 }

service "smtp" {
  listen  = ["tcp://:25"]
  command = ["/usr/sbin/exim4", "-bs", "-C", "/etc/exim4/inetd.conf"]
  user    = "Debian-exim"
  acl     = acl.localhost
  profile = profile.smtpd
}
