# What became of the lines of inetd.conf.

case "telnet and finger are for the office" {
  service = [service.telnet, service.finger]
  client  = ["192.0.2.7", "2001:db8:10::7"]
  expect  = "allow"
  matched = acl.office.1
}

case "and for nobody else" {
  service = [service.telnet, service.finger]
  client  = ["198.51.100.7", "2001:db8:ffff::1"]
  expect  = "deny"
  matched = acl.office.default
  reason  = "acl"
}

case "the lines without a block are for everybody, as before" {
  service = [service.daytime, service.ident, service.rsync]
  client  = "198.51.100.7"
  expect  = "allow"
}

case "rsync is nobody from the start" {
  service = service.rsync
  client  = "198.51.100.7"
  user    = "nobody"
  profile = profile.rsync
  command = ["/usr/bin/rsync", "--daemon"]
}

case "twenty telnets a minute" {
  service = service.telnet
  client  = ["192.0.2.7", "192.0.2.8"]
  arrive { count = 30 }
  allowed = 20
  reason  = "rate"
}

invariant "root is telnet's alone" {
  condition = alltrue([for s in services : s.name == "telnet" if s.root])
}
