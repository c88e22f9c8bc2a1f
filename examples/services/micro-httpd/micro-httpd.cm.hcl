policy { edition = 1 }

profile "micro_httpd" {
  base = profile.line
  files {
    read = ["/srv/www"]
  }
}

service "http" {
  listen  = ["tcp://:80"]
  command = ["/usr/sbin/micro-httpd", "/srv/www"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.micro_httpd
}
