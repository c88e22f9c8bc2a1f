policy { edition = 1 }

service "display" {
  listen  = ["tcp://:5950"]
  command = ["/usr/bin/Xvnc", ":1", "-inetd", "-SecurityTypes", "None", "-geometry", "320x200", "-depth", "24", "-wr", "-nolisten", "tcp", "-nolisten", "local"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.xvnc
}

profile "xvnc" {
  base    = profile.files
  widens  = ["files", "network", "syscalls"]
  because = "an X server that can listen for programs nowhere ends, and unix sockets take the host's network"
  init    = true
  network {
    mode    = "host"
    sockets = ["unix"]
  }
  files {
    exec = ["/bin/sh", "/usr/bin/xkbcomp"]
    read = ["/usr/share/X11/xkb"]
  }
  syscalls {
    allow = ["@process", "bind", "listen"]
    deny  = ["connect"]
  }
}
