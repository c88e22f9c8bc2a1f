# Who may come, and how often. The networks are documentation ranges: put yours.

policy { edition = 1 }

locals {
  office = ["192.0.2.0/24", "2001:db8:10::/48"]
}

acl "office" {
  deny { from = ["192.0.2.66"] }
  allow { from = concat(local.office, ["127.0.0.0/8", "::1"]) }
  default = "deny"
}

limit "office" {
  concurrent = 32
  rate       = "20/s"
  burst      = 40
  session    = "1h"
  per_source {
    concurrent = 8
    rate       = "120/min"
    burst      = 20
  }
  penalty {
    on    = ["crash", "violation", "timeout"]
    first = "30s"
    max   = "10m"
  }
}
