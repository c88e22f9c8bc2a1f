# What quickstart.cm.hcl promises, as tests: casemate test examples/quickstart

case "each service but one is for this host" {
  service = [service.factor, service.look, service.limited, service.daytime, service.echo]
  client  = ["127.0.0.1", "127.8.9.1"]
  expect  = "allow"
  matched = acl.localhost.1
}

case "and for nobody else" {
  service = service.*
  client  = ["198.51.100.7", "::ffff:198.51.100.7"]
  expect  = "deny"
  reason  = "acl"
}

case "closed is not for this host" {
  service = service.closed
  client  = "127.0.0.1"
  expect  = "deny"
  matched = acl.elsewhere.default
}

# Who is elsewhere comes to no address of this host's own: the rule alone would let them in.
case "closed is for who is elsewhere" {
  service = service.closed
  client  = "192.0.2.7"
  reason  = "listener"
  matched = acl.elsewhere.1
}

case "a uid of its own for each connection" {
  service = service.factor
  client  = "127.0.0.1"
  user    = "dynamic"
  profile = profile.line
  command = ["/usr/bin/factor"]
}

# Three at once, then one a second.
case "limited is slow" {
  service = service.limited
  client  = "127.0.0.1"
  arrive {
    count   = 5
    allowed = 3
    reason  = "source-rate"
  }
  arrive {
    after   = "10s"
    count   = 6
    within  = "6s"
    allowed = 6
  }
}

case "limited has two places for each source" {
  service = service.limited
  client  = "127.0.0.1"
  arrive {
    count   = 3
    hold    = "30s"
    allowed = 2
    reason  = "source-concurrency"
  }
}

invariant "no service is reachable from the world" {
  never = reach(service.*, "198.51.100.0/24", "2001:db8::/32")
}

invariant "no service runs as root" {
  condition     = alltrue([for s in services : !s.root])
  error_message = "no service of the quickstart is root's"
}
