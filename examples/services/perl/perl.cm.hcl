policy { edition = 1 }

profile "phone" {
  base = profile.perl
  files {
    read = ["/srv/phone/book"]
  }
}

service "phone" {
  listen  = ["tcp://:7002"]
  command = ["/srv/phone/phone.pl"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.phone
}
