# Static files below /srv/www.

profile "www" {
  base = profile.line
  files {
    read = ["/srv/www", "/etc/ld.so.cache"]
  }
}

service "http" {
  listen  = ["tcp://:http"]
  command = ["/usr/sbin/micro-httpd", "/srv/www"]
  user    = "dynamic"
  acl     = acl.office
  limit   = limit.office
  profile = profile.www
}
