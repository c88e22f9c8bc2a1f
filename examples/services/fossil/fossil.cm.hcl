policy { edition = 1 }

profile "fossil" {
  base = profile.line
  files {
    read = ["/srv/fossil"]
  }
}

service "fossil" {
  listen  = ["tcp://:8080"]
  command = ["/usr/bin/fossil", "http", "/srv/fossil/project.fossil", "--nojail"]
  user    = "www-data"
  env     = { HOME = "/tmp", USER = "www-data" }
  acl     = acl.localhost
  profile = profile.fossil
}
