policy { edition = 1 }

profile "git_http" {
  base = profile.git
  files {
    read = ["/srv/git-http"]
  }
}

service "git-http" {
  listen  = ["tcp://:8082"]
  command = ["/bin/busybox", "httpd", "-i", "-h", "/srv/git-http/www"]
  user    = "dynamic"
  env = {
    GIT_CONFIG_COUNT    = "1"
    GIT_CONFIG_KEY_0    = "safe.directory"
    GIT_CONFIG_VALUE_0  = "*"
    GIT_HTTP_EXPORT_ALL = "1"
    GIT_PROJECT_ROOT    = "/srv/git-http/projects"
    HOME                = "/tmp"
    PATH                = "/usr/bin:/bin"
  }
  acl     = acl.localhost
  profile = profile.git_http
}
