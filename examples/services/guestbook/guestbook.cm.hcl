policy { edition = 1 }

profile "guestbook" {
  base   = profile.shell
  widens = ["files"]
  files { state = true }
  resources { file_size = "1MiB" } # nothing else bounds what it keeps
}

service "guestbook" {
  listen  = ["tcp://:7008"]
  command = ["/srv/guestbook/guestbook.sh"]
  user    = "dynamic"
  acl     = acl.localhost
  profile = profile.guestbook
}
