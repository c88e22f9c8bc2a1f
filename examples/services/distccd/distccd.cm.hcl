policy { edition = 1 }

profile "distccd" {
  base   = profile.files
  widens = ["files", "resources", "syscalls"]
  files {
    exec = ["/usr/bin"]
    read = ["/etc/alternatives"]
    tmp  = "256MiB"
  }
  syscalls { allow = ["@process"] }
  resources {
    address_space = "4GiB"
    data          = "2GiB"
  }
  init = true
}

service "distcc" {
  listen  = ["tcp://:3632"]
  command = ["/usr/bin/distccd", "--inetd", "--log-stderr", "--allow", "127.0.0.0/8"]
  user    = "dynamic"
  env     = { PATH = "/usr/bin:/bin" }
  acl     = acl.localhost
  profile = profile.distccd
}
