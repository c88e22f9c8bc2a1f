policy { edition = 1 }

profile "rsync_daemon" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    read  = ["/etc/rsyncd.conf", "/srv/pub"]
    write = ["/srv/in"]
  }
  syscalls { allow = ["@ipc", "@process"] }
  init = true
}

service "rsync" {
  listen  = ["tcp://:873"]
  command = ["/usr/bin/rsync", "--daemon", "--config=/etc/rsyncd.conf"]
  user    = "rsyncd"
  acl     = acl.localhost
  profile = profile.rsync_daemon
}
