policy { edition = 1 }

profile "busybox_httpd" {
  base   = profile.strict
  widens = ["syscalls"]
  files {
    read = ["/srv/site"]
  }
  syscalls {
    allow        = ["@file-read"]
    on_violation = "errno"
  }
  init = true
}

service "site" {
  listen  = ["tcp://:8081"]
  command = ["/bin/busybox", "httpd", "-i", "-h", "/srv/site"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.busybox_httpd
}
