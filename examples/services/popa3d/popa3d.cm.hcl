policy { edition = 1 }

profile "popa3d" {
  base         = profile.server
  widens       = ["capabilities", "files", "syscalls"]
  because      = "it becomes the user whose mail it shows"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  files {
    read  = ["/etc/group", "/etc/nsswitch.conf", "/etc/pam.d", "/etc/passwd", "/etc/security", "/etc/shadow", "/var/lib/popa3d"]
    write = ["/var/mail"]
  }
  syscalls { allow = ["chroot"] }
}

service "pop3" {
  listen  = ["tcp://:110"]
  command = ["/usr/sbin/popa3d"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.popa3d
}
