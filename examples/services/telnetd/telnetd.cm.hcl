policy { edition = 1 }

service "telnet" {
  listen  = ["tcp://:23"]
  command = ["/usr/sbin/telnetd", "-h"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.telnetd
}
