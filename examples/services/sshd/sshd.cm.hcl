policy { edition = 1 }

service "ssh" {
  listen  = ["tcp://:22"]
  command = ["/usr/sbin/sshd", "-i"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.sshd
}
