policy { edition = 1 }

# in.fingerd starts finger(1), and nothing else: the profile has no shell.
profile "fingerd" {
  base   = profile.line
  widens = ["files", "syscalls"]
  files {
    exec = ["/usr/bin/finger"]
    read = ["/etc/passwd", "/etc/nsswitch.conf"]
  }
  syscalls { allow = ["@process"] }
}

service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.fingerd
}
