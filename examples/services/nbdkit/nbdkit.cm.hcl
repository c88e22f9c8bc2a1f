policy { edition = 1 }

# An init before it, for it asks to end with its parent (prctl), which else would be the broker.
profile "nbdkit" {
  base   = profile.files
  widens = ["syscalls"]
  init   = true
  files {
    read = ["/srv/nbd"]
  }
  syscalls {
    rule "prctl" {
      arg    = 0
      values = ["0x1"]
    }
  }
}

service "nbd" {
  listen  = ["tcp://:10809"]
  command = ["/usr/bin/nbdkit", "--single", "--threads", "4", "--read-only", "file", "/srv/nbd/disk"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.nbdkit
}
