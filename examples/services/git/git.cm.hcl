policy { edition = 1 }

profile "projects" {
  base = profile.git
  files {
    read = ["/srv/projects"]
  }
}

service "projects" {
  listen  = ["tcp://:9418"]
  command = ["/usr/bin/git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path=/srv/projects", "/srv/projects"]
  user    = "dynamic"
  env     = { HOME = "/tmp", PATH = "/usr/bin:/bin" }
  acl     = acl.localhost
  profile = profile.projects
}
