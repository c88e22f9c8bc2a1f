policy { edition = 1 }

profile "munin_node" {
  base   = profile.server
  widens = ["files"]
  files {
    exec = ["/etc/munin/inetd"]
  }
}

service "munin" {
  listen  = ["tcp://:4949"]
  command = ["/usr/sbin/munin-node-c", "-d", "/etc/munin/inetd"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.munin_node
}
