policy { edition = 1 }

service "upper" {
  listen  = ["tcp://:7005"]
  command = ["/srv/upper/upper.js"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.node
}
