policy { edition = 1 }

profile "gophernicus" {
  base = profile.line
  files {
    read = ["/srv/gopher"]
  }
}

service "gopher" {
  listen  = ["tcp://:70"]
  command = ["/usr/sbin/gophernicus", "-r", "/srv/gopher", "-h", "localhost", "-nm"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.gophernicus
}
