policy { edition = 1 }

service "today" {
  listen  = ["tcp://:7003"]
  command = ["/srv/today/today.sh"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.shell
}
