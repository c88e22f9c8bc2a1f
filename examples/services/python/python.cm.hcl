policy { edition = 1 }

service "factor" {
  listen  = ["tcp://:7001"]
  command = ["/srv/factor/factor.py"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.python
}
