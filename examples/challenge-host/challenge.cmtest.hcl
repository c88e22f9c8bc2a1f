# What the players get: each team's port is as open, and as narrow, as any other.

case "everybody plays" {
  service = service.*
  client  = ["198.51.100.7", "2001:db8::1"]
  expect  = "allow"
  user    = "dynamic"
  profile = profile.vault
  command = ["/usr/local/libexec/vault"]
}

case "a crash is part of the game" {
  service = service.vault-31337
  client  = "198.51.100.7"
  arrive {
    count = 5
    ends  = "crash"
  }
  expect = "allow"
}

case "a forbidden system call is not" {
  service = service.vault-31337
  client  = "198.51.100.7"
  arrive {
    ends = "violation"
  }
  arrive {
    after  = "9s"
    expect = "deny"
    reason = "penalty"
  }
  arrive {
    after  = "1s"
    expect = "allow"
  }
}

case "one player has four places" {
  service = service.vault-31337
  client  = "198.51.100.7"
  arrive {
    count = 6
    hold  = "10s"
  }
  allowed = 4
  reason  = "source-concurrency"
}

case "who floods has ten at once" {
  service = service.vault-31337
  client  = "198.51.100.7"
  arrive {
    count  = 1000
    within = "10s"
  }
  allowed = 14
  reason  = "source-rate"
}

invariant "who takes the vault over finds nothing" {
  condition = alltrue([for s in services :
    !s.root && length(s.profile.capabilities) == 0 && length(s.profile.files.write) == 0 &&
    s.profile.network.mode == "none" && s.profile.resources.tasks == 1 && s.limit.session <= duration("10s")
  ])
}

invariant "there are twenty teams" {
  condition = length(services) == 20
}
