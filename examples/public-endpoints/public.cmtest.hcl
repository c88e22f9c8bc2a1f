# The world may come, and not too often.

case "everybody is served" {
  service = service.*
  client  = ["198.51.100.7", "2001:db8::1"]
  expect  = "allow"
  matched = acl.anyone.1
}

case "one source has ten at once, then one in two seconds" {
  service = service.echo
  client  = "198.51.100.7"
  arrive {
    count   = 12
    allowed = 10
    reason  = "source-rate"
  }
  arrive {
    after   = "2s"
    allowed = 1
  }
}

case "one source holds four places" {
  service = service.echo
  client  = "198.51.100.7"
  arrive {
    count = 5
    hold  = "10s"
  }
  allowed = 4
  reason  = "source-concurrency"
}

case "the sources of one /64 are one" {
  service = service.echo
  client  = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
  arrive {
    count = 5
    hold  = "10s"
  }
  allowed = 4
  reason  = "source-concurrency"
}

case "who stays for too long has to wait" {
  service = service.discard
  client  = "198.51.100.7"
  arrive {
    ends = "timeout"
  }
  arrive {
    after  = "30s"
    expect = "deny"
    reason = "penalty"
  }
  arrive {
    after  = "30s"
    expect = "allow"
  }
}

invariant "no service runs a program of this host" {
  condition = alltrue([for s in services : s.builtin != null && length(s.profile.files.exec) == 0])
}

invariant "each is limited by source" {
  condition = alltrue([for s in services : s.limit.per_source.concurrent > 0 && s.limit.per_source.rate.events > 0])
}
