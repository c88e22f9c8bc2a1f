policy { edition = 1 }

profile "health" {
  base = profile.line
  files {
    read = ["/srv/health/state"]
  }
}

service "health" {
  listen  = ["tcp://:7006"]
  command = ["/bin/cat", "/srv/health/state"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.health
}
