# A vulnerable program on the open internet. Whoever takes it over has a leased
# uid, one readable file, no network, no second process, and ten seconds.

policy { edition = 1 }

locals {
  # One for each team: who floods the port of one takes no place from the others.
  ports = [
    31337, 31338, 31339, 31340, 31341, 31342, 31343, 31344, 31345, 31346,
    31347, 31348, 31349, 31350, 31351, 31352, 31353, 31354, 31355, 31356,
  ]
}

limit "challenge" {
  concurrent = 100
  rate       = "50/s"
  burst      = 100
  session    = "10s"
  per_source {
    concurrent = 4
    rate       = "30/min"
    burst      = 10
  }
  penalty {
    on    = ["violation"] # a crash is part of the game, a forbidden system call is not
    first = "10s"
    max   = "5m"
  }
}

profile "vault" {
  base = profile.strict
  files {
    read = ["/flag"]
  }
  resources {
    address_space = "64MiB"
    cpu_time      = "2s"
    file_size     = "4KiB"
    open_files    = 16
    tasks         = 1
  }
}

service "vault" {
  for_each = local.ports # vault-31337, vault-31338, ...
  listen   = ["tcp://:${each.value}"]
  command  = ["/usr/local/libexec/vault"]
  user     = "dynamic"
  acl      = acl.anyone
  limit    = limit.challenge
  profile  = profile.vault
}
