policy { edition = 1 }

profile "cvs" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    read  = ["/etc/nsswitch.conf", "/etc/passwd"]
    write = ["/srv/cvs"]
  }
  syscalls { allow = ["@process"] }
  init = true
}

service "cvs" {
  listen  = ["tcp://:2401"]
  command = ["/usr/bin/cvs", "-f", "-T", "/tmp", "--allow-root=/srv/cvs", "pserver"]
  user    = "cvs"
  acl     = acl.localhost
  profile = profile.cvs
}
