policy { edition = 1 }

profile "sorter" {
  base = profile.jvm
  files { read = ["/srv/sorter"] }
}

service "sorter" {
  listen  = ["tcp://:7009"]
  command = ["/usr/bin/java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/srv/sorter", "Sorter"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.sorter
}
