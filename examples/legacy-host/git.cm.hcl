# git clone git://host/project.git, read-only. Repositories lie in /srv/git and
# need no owner in particular: the service only reads them.

profile "repositories" {
  base = profile.git
  files {
    read = ["/srv/git", "/etc/ld.so.cache"]
  }
}

service "git" {
  listen = ["tcp://:9418"]
  command = [
    "/usr/bin/git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path=/srv/git", "/srv/git",
  ]
  user    = "dynamic"
  env     = { HOME = "/tmp", PATH = "/usr/bin:/bin" }
  acl     = acl.office
  limit   = limit.office
  profile = profile.repositories
}
