policy { edition = 1 }

service "words" {
  listen  = ["tcp://:7004"]
  command = ["/srv/words/words"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.go
}
