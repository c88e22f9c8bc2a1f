# Any character-mode program: here a shell script that reads one line and
# answers. It cannot be talked into more than cat(1) of two folders.

profile "finger" {
  base = profile.server
  files {
    read = ["/etc/passwd", "/etc/nsswitch.conf", "/etc/ld.so.cache"]
    tmp  = "1MiB"
  }
}

service "finger" {
  listen  = ["tcp://:finger"]
  command = ["/bin/sh", "-c", "read -r user; echo \"login: $user\"; getent passwd -- \"$${user%?}\" | cut -d: -f5"]
  user    = "nobody"
  acl     = acl.office
  limit   = limit.office
  profile = profile.finger
}
