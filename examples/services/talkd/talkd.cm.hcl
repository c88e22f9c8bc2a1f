policy { edition = 1 }

# talkd has one socket for all its clients, and ends when nobody has asked it for two minutes.
service "ntalk" {
  listen  = ["udp4://:ntalk"]
  command = ["/usr/sbin/talkd"]
  user    = "dynamic"
  wait    = true
  acl     = acl.anyone # with wait it takes its datagrams itself
  limit   = limit.wait
  profile = profile.talk
}

profile "talk" {
  base   = profile.line
  widens = ["network"]
  network { mode = "listener" }
  files {
    read = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/var/run/utmp"]
  }
}
