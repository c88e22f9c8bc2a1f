# Who comes to the old services, and who does not.

case "the office" {
  service = [service.finger, service.git, service.http, service.rsync, service.ssh]
  client  = ["192.0.2.7", "2001:db8:10::7", "127.0.0.1"]
  expect  = "allow"
  matched = acl.office.2
}

case "one machine of the office does not" {
  service = [service.finger, service.git, service.http, service.rsync, service.ssh]
  client  = "192.0.2.66"
  expect  = "deny"
  matched = acl.office.1
  reason  = "acl"
}

case "the world does not" {
  service = [service.finger, service.git, service.http, service.rsync, service.ssh]
  client  = ["198.51.100.7", "2001:db8:ffff::1"]
  expect  = "deny"
  matched = acl.office.default
  reason  = "acl"
}

case "ssh logs in one user" {
  service = service.ssh
  client  = "192.0.2.7"
  user    = "guest"
  profile = profile.ssh
}

case "a source whose sessions crash is shut out for a while" {
  service = service.finger
  client  = "192.0.2.7"
  arrive {
    ends = "crash"
  }
  arrive {
    expect = "deny"
    reason = "penalty"
  }
  arrive {
    after  = "30s"
    expect = "allow"
  }
}

case "a source has eight places" {
  service = service.rsync
  client  = "192.0.2.7"
  arrive {
    count = 12
    hold  = "1m"
  }
  allowed = 8
  reason  = "source-concurrency"
}

case "and twenty at once" {
  service = service.http
  client  = "192.0.2.7"
  arrive { count = 25 }
  allowed = 20
  reason  = "source-rate"
}

# tftp takes its datagrams itself: it is the one that everybody reaches.
invariant "the world reaches no more than tftp" {
  never = reach([service.finger, service.git, service.http, service.rsync, service.ssh], "198.51.100.0/24", "2001:db8:ffff::/48")
}

invariant "the office reaches all but one machine" {
  always = reach([service.finger, service.http], "192.0.2.0/26", "2001:db8:10::/48")
}

invariant "root needs a reason, and tftp alone is root's" {
  condition = alltrue([for s in services : s.name == "tftp" && s.because != null if s.root])
}

invariant "nothing but tftp has a capability" {
  condition = alltrue([for s in services : length(s.profile.capabilities) == 0 if s.name != "tftp"])
}
