# A vulnerable program on the open internet. Whoever takes it over has a leased
# uid, one readable file, no network, no second process, and ten seconds.

policy { edition = 1 }

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
  listen  = ["tcp://:31337"]
  command = ["/usr/local/libexec/vault"]
  user    = "dynamic"
  acl     = acl.anyone
  limit   = limit.challenge
  profile = profile.vault
}
