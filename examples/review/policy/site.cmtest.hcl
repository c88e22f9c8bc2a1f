# What the site promises: a change that breaks a promise changes this file too.

case "the office is served" {
  service = service.*
  client  = ["192.0.2.7", "2001:db8:7::1"]
  expect  = "allow"
}

case "a source has ten at once" {
  service = service.finger
  client  = "192.0.2.7"
  arrive {
    count   = 12
    allowed = 4
    hold    = "1m"
    reason  = "source-concurrency"
  }
}

invariant "nobody outside is let in to finger" {
  never = reach(service.finger, "198.51.100.0/24", "2001:db8:8::/48")
}
