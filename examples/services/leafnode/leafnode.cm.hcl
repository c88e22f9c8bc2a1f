policy { edition = 1 }

# @file-attr: it sees to the owner of its folders at each start.
profile "leafnode" {
  base    = profile.files
  widens  = ["files", "network", "syscalls"]
  because = "it takes clients of the host's own networks alone, and asks the kernel which these are"
  network {
    mode    = "host"
    sockets = ["netlink-route"]
  }
  files {
    read  = ["/etc/group", "/etc/hosts", "/etc/news/leafnode", "/etc/nsswitch.conf", "/etc/passwd"]
    write = ["/var/spool/news"]
  }
  syscalls { allow = ["@file-attr"] }
}

service "nntp" {
  listen  = ["tcp://:119"]
  command = ["/usr/sbin/leafnode"]
  user    = "news"
  acl     = acl.localhost
  profile = profile.leafnode
}
