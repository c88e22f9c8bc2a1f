# The blocks that casemate ships. Policies refer to them as acl.anyone,
# limit.default, profile.line and so on; `casemate profiles` prints them.

acl "anyone" {
  rule "allow" { from = ["any"] }
}

acl "localhost" {
  rule "allow" { from = ["127.0.0.0/8", "::1"] }
}

# What a service has that names no limit: enough for a modest service, and a
# source that crashes it or outstays its time is shut out for a while.
limit "default" {
  concurrent = 64
  rate       = "50/s"
  burst      = 100
  session    = "1h"
  per_source {
    concurrent = 8
    rate       = "60/min"
    burst      = 20
    prefix     = ["/32", "/64"]
  }
  penalty {
    on    = ["crash", "timeout", "violation"]
    first = "10s"
    max   = "10m"
  }
}

# The same for wait = true, where the broker sees activations and no sources.
limit "wait" {
  rate  = "50/s"
  burst = 100
}

# A static program that reads its socket, answers and ends. No file but the
# program itself, no /tmp, no /proc; a forbidden call kills.
profile "strict" {
  network = "none"
  files {
    dev = ["null"]
  }
  syscalls {
    allow        = ["@strict"]
    on_violation = "kill"
  }
  resources {
    address_space = "1GiB"
    open_files    = 64
    stack         = "8MiB"
    locked        = "64KiB"
  }
}

# A character-mode program with shared libraries, in one process, that reads
# what the policy shows it. A forbidden call fails with EPERM.
profile "line" {
  base   = profile.strict
  widens = ["files", "syscalls"]
  files {
    exec = ["/lib", "/lib64", "/usr/lib"]
    dev  = ["full", "null", "random", "urandom", "zero"]
  }
  syscalls {
    allow        = ["@line"]
    on_violation = "errno"
  }
}

# A file server: writes where the policy lets it, and has a /tmp.
profile "files" {
  base   = profile.line
  widens = ["resources", "syscalls"]
  files {
    tmp = "16MiB"
  }
  syscalls { allow = ["@files"] }
  resources { open_files = 256 }
}

# Several programs: shells, helpers, interpreters, with a /proc of their own.
profile "server" {
  base   = profile.files
  widens = ["files", "resources", "syscalls"]
  files {
    exec = ["/bin", "/usr/bin"]
    read = ["/usr/share"]
    proc = true
    tmp  = "64MiB"
  }
  syscalls { allow = ["@server"] }
  resources {
    address_space = "4GiB"
    open_files    = 1024
  }
  init = true
}

# A session on a terminal: changes its identity, opens a pty among its own.
profile "login" {
  base   = profile.server
  widens = ["files", "syscalls"]
  files {
    pty = true
  }
  syscalls { allow = ["@login"] }
}

# casemate-worker serving a builtin: a static Go program on the listening
# sockets it is given, from which it answers datagrams to any address.
profile "builtin" {
  network = "listener"
  files {
    dev = ["null"]
  }
  syscalls {
    allow        = ["@builtin"]
    on_violation = "kill"
  }
  resources {
    open_files = 4096
    stack      = "8MiB"
    locked     = "64KiB"
  }
}
