# The blocks that casemate ships. Policies refer to them as acl.anyone,
# limit.default, profile.line and so on; `casemate profiles` prints them.

# A service that waits for its rules; without any acl check would warn.
acl "nobody" {
}

acl "anyone" {
  allow { from = ["any"] }
}

acl "localhost" {
  allow { from = ["127.0.0.0/8", "::1"] }
}

# What a service has that names no limit: enough for a modest service, and a
# source that crashes it or outstays its time is shut out for a while.
limit "default" {
  concurrent = 64
  rate       = "50/s"
  burst      = 100
  session    = "1h"
  per_source {
    concurrent  = 8
    rate        = "60/min"
    burst       = 20
    ipv4_prefix = 32
    ipv6_prefix = 64
  }
  penalty {
    on    = ["crash", "timeout", "violation"]
    first = "10s"
    max   = "10m"
  }
}

# What an entry of inetd.conf has: as many starts a minute as inetd let a service have before it
# gave it up, and sessions as long as they last. An entry's own numbers take its place.
limit "classic" {
  concurrent = 128
  rate       = "256/min"
  burst      = 256
  penalty {
    on    = ["crash", "violation"]
    first = "10s"
    max   = "10m"
  }
}

# What wait = true has, where the broker sees activations and no sources.
limit "wait" {
  rate  = "50/s"
  burst = 100
}

# A static program that reads its socket, answers and ends. No file but the
# program itself, no /tmp, no /proc; a forbidden call kills.
profile "strict" {
  network { mode = "none" }
  files {
    dev = ["null"]
  }
  syscalls {
    allow        = ["@strict"]
    on_violation = "kill"
  }
  # Of each process, of a connection (tasks) and of the service (memory): a host
  # without cgroup v2 holds all but the last.
  resources {
    memory        = "512MiB"
    address_space = "1GiB"
    data          = "256MiB"
    open_files    = 64
    tasks         = 16
    stack         = "8MiB"
    locked        = "64KiB"
  }
  best_effort = ["cgroup"]
}

# A character-mode program with shared libraries, in one process, with threads
# if it likes, that reads what the policy shows it. A forbidden call fails with EPERM.
profile "line" {
  base   = profile.strict
  widens = ["files", "resources", "syscalls"]
  files {
    exec = ["/lib", "/lib64", "/usr/lib"]
    dev  = ["full", "null", "random", "urandom", "zero"]
  }
  syscalls {
    allow        = ["@line"]
    on_violation = "errno"
  }
  resources {
    data  = "512MiB" # stacks of threads count
    tasks = 32
  }
}

# A file server: writes where the policy lets it, and has a /tmp. Like strict and line
# it has no init, which would take a tenth to a fifth of a small program's processor time
# more; what relies on SIGPIPE, SIGALRM or SIGTERM to end it says init = true.
profile "files" {
  base   = profile.line
  widens = ["resources", "syscalls"]
  files {
    tmp = "16MiB"
  }
  syscalls { allow = ["@files"] }
  resources {
    memory     = "1GiB"
    open_files = 256
  }
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
    memory        = "2GiB"
    address_space = "4GiB"
    data          = "2GiB"
    open_files    = 1024
    tasks         = 128
  }
  init = true
}

# A session on a terminal: changes its identity, opens a pty among its own. Who was let
# in and who was not, PAM and its programs tell syslog(3) alone: there is a /dev/log where
# Landlock can hold what the calls for it would reach. The others have none, for two
# layers are better than one.
profile "login" {
  base   = profile.server
  widens = ["files", "syscalls"]
  files {
    log = true
    pty = true
  }
  syscalls { allow = ["@login"] }
  best_effort = ["files.log"]
}

# Kinds of program. A service of such a program is one line, profile = profile.python: its own program
# file is shown whatever the profile, and what else it reads or writes a profile on top of it adds. Each starts
# just the programs named here, so that input which is taken for a command finds no shell (but in shell, which is one).

# A static Go program, or a like one without libc: threads, and what the policy shows it.
profile "go" {
  base   = profile.strict
  widens = ["resources", "syscalls"]
  syscalls {
    allow        = ["@go", "@file-read"]
    on_violation = "errno"
  }
  resources {
    address_space = "2GiB"   # the runtime reserves more than 1 GiB for its tables, whatever it uses
    data          = "512MiB" # stacks of threads count
    tasks         = 32
  }
}

# A Perl program, in one process, begun by its interpreter: #!/usr/bin/env is a program before it, which nothing lets go on.
profile "perl" {
  base   = profile.files
  widens = ["files"]
  files {
    exec     = ["/usr/bin/perl"]
    read     = ["/etc/perl", "/usr/share/perl", "/usr/share/perl5"]
    optional = ["/etc/perl", "/usr/bin/perl", "/usr/share/perl", "/usr/share/perl5"]
  }
  init = true # alarm, and the SIGPIPE of a client that left, end it
}

# A Python program: threads, processes of its own (multiprocessing, whose locks lie in /dev/shm).
profile "python" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    exec     = ["/usr/bin/env", "/usr/bin/python3"]
    read     = ["/etc/mime.types", "/usr/share/zoneinfo"]
    optional = ["/etc/mime.types", "/usr/bin/env", "/usr/bin/python3", "/usr/share/zoneinfo"]
    shm      = "16MiB"
  }
  syscalls { allow = ["@ipc", "@process"] }
  init = true # multiprocessing ends its processes by SIGTERM, which one without default actions outlives
}

# A script of sh or bash, with the programs of /bin and /usr/bin. It has no /proc, which bash
# wants for <(...) alone.
profile "shell" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    exec     = ["/bin", "/usr/bin"]
    read     = ["/usr/share/zoneinfo"]
    optional = ["/usr/share/zoneinfo"]
  }
  syscalls { allow = ["@process", "@timers"] } # timeout(1)
  init = true
}

# git daemon, git upload-pack, git http-backend: git and the programs of its own, of which none is a shell.
# Hooks of a repository do not run. The repositories are a site's own to name.
profile "git" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    exec     = ["/usr/bin/git"]
    read     = ["/usr/share/git-core"]
    optional = ["/usr/bin/git", "/usr/share/git-core"]
  }
  syscalls { allow = ["@process"] }
  init = true
}

# A JavaScript program, in one process, begun by node itself and not by #!/usr/bin/env. What it writes as machine code runs, so that this profile does not hold
# injected code back: it is for programs that one wrote oneself.
profile "node" {
  base    = profile.files
  widens  = ["files", "resources", "syscalls"]
  because = "V8 compiles JavaScript to machine code in memory"
  files {
    exec     = ["/usr/bin/node"]
    read     = ["/usr/share/nodejs"]
    optional = ["/usr/bin/node", "/usr/share/nodejs"]
  }
  syscalls {
    allow = ["@jit"]
    rule "madvise" {
      arg    = 2
      values = [10] # MADV_DONTFORK, of V8's heap: it does not fork
    }
  }
  init = true
  resources {
    address_space = "64GiB" # reserved, not used
    data          = "2GiB"
  }
}

# A program of a Java virtual machine (HotSpot), in one process. What it writes as machine code runs, so that this profile does
# not hold injected code back; a command that a program is tricked into finds nothing to run all the same. Without -Xmx
# its objects get a quarter of the host's memory, or half of the address space where that is less.
profile "jvm" {
  base    = profile.files
  widens  = ["files", "resources", "syscalls"]
  because = "HotSpot compiles bytecode to machine code in memory"
  files {
    exec = ["/usr/bin/java"]
    read = [
      "/etc/java-11-openjdk", "/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/java-25-openjdk", "/etc/localtime", "/etc/ssl/certs/java",
      "/usr/share/java",
    ]
    optional = [
      "/etc/java-11-openjdk", "/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/java-25-openjdk", "/etc/localtime", "/etc/ssl/certs/java",
      "/usr/bin/java", "/usr/share/java",
    ]
    proc = true # where the machine is, it asks /proc/self/exe
  }
  syscalls { allow = ["@ipc", "@jit"] } # closing a channel takes a pair of sockets
  resources {
    memory        = "4GiB"
    address_space = "6GiB" # reserved, not used: half is for objects, 1 GiB for classes
    data          = "4GiB"
    tasks         = 128 # collectors and compilers of each processor
  }
}

# What an entry of inetd.conf has that no block extends: a program as inetd ran it, that
# sees the system but its homes, and changes nothing of it. Private are /tmp, /proc and its processes; no
# privilege comes back, and of root's powers none is left. Its network is its client.
profile "classic" {
  base   = profile.server
  widens = ["files"]
  files {
    read = ["/etc", "/opt", "/srv", "/usr", "/var"]
    exec = ["/sbin", "/usr/games", "/usr/libexec", "/usr/local", "/usr/sbin"]
    # What a host lacks, its inetd did without.
    optional = ["/bin", "/etc", "/lib", "/lib64", "/opt", "/sbin", "/srv", "/usr", "/usr/bin", "/usr/games", "/usr/lib", "/usr/libexec", "/usr/local", "/usr/sbin", "/usr/share", "/var"]
  }
}

# The same for an entry with wait, which is handed the listening socket and takes its
# clients, or answers its datagrams, by itself.
profile "classic_wait" {
  base   = profile.classic
  widens = ["network", "syscalls"]
  network { mode = "listener" }
  syscalls { allow = ["@socket-accept"] }
}

# The same for a root program that lets somebody in as another user: telnetd, ftpd, login,
# sshd. It becomes that user for good, opens terminals, and writes in homes and mailboxes
# what that user may; nothing that it starts gets a privilege back. There is no /proc, for the sake of
# pam_loginuid: see telnetd.
profile "classic_login" {
  base         = profile.classic
  widens       = ["capabilities", "files", "syscalls"]
  because      = "it lets users in, and becomes them"
  capabilities = ["CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  files {
    write    = ["/home", "/var/mail"]
    optional = ["/home", "/var/mail"]
    log      = true
    proc     = false
    pty      = true
  }
  syscalls { allow = ["@login", "chroot"] }
  best_effort = ["files.log"]
}

# The same for ftpd, vsftpd and others: users' files in their homes and /srv/ftp, and data connections to ports
# of the server's (passive mode; it can connect nowhere). The logs that it keeps have to be there.
profile "classic_ftpd" {
  base         = profile.classic_login
  widens       = ["capabilities", "files", "network", "syscalls"]
  because      = "it lets users in, becomes them, and listens for data connections"
  capabilities = ["CAP_NET_BIND_SERVICE"]
  init         = true
  network {
    mode = "host"
    bind = ["any"]
  }
  files {
    read     = ["/run/vsftpd"]
    write    = ["/srv/ftp", "/var/log/proftpd", "/var/log/vsftpd.log", "/var/log/xferlog"]
    optional = ["/run/vsftpd", "/srv/ftp", "/var/log/proftpd", "/var/log/vsftpd.log", "/var/log/xferlog"]
  }
  syscalls {
    allow = ["@fd-passing"]
    # vsftpd's processes end with each other, which of an init's child is its own affair, and with
    # connect_from_port_20 keep capabilities over the change of their user, but for two of them to give them up.
    rule "prctl" {
      arg    = 0
      values = ["0x1", "0x8"]
    }
  }
  # A kernel before 6.12 keeps it neither from what /dev/log takes nor from abstract unix sockets of the host.
  best_effort = ["landlock.scopes"]
}

# The same for rshd and rexecd, which answer on the client's second port too, from one below 1024 (rcmd(3)).
profile "classic_rshd" {
  base         = profile.classic_login
  widens       = ["capabilities", "network"]
  because      = "it lets users in, becomes them, and connects back to its client below port 1024"
  capabilities = ["CAP_NET_BIND_SERVICE"]
  network {
    mode    = "host"
    connect = ["512-1023"]
    bind    = ["512-1023"]
  }
  best_effort = ["landlock.net", "landlock.scopes"]
}

# The same for a root program that becomes the owner of the data it keeps, in homes or where such data
# usually lie: rsync, cvs and svnserve.
profile "classic_data" {
  base         = profile.classic
  widens       = ["capabilities", "files", "syscalls"]
  because      = "it becomes the user whose data it serves"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  files {
    write    = ["/home", "/srv/cvs", "/srv/rsync", "/srv/svn", "/var/lib/cvs", "/var/lib/svn"]
    optional = ["/home", "/srv/cvs", "/srv/rsync", "/srv/svn", "/var/lib/cvs", "/var/lib/svn"]
  }
  syscalls { allow = ["@file-attr", "@identity", "chroot"] }
}

# The same for in.tftpd with wait, which changes its root and its user by itself, and answers each transfer from
# a port of its own (RFC 1350).
profile "classic_tftpd" {
  base         = profile.classic_wait
  widens       = ["capabilities", "files", "network", "syscalls"]
  because      = "it answers each transfer from a port of its own, and changes its root and its user by itself"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  network {
    mode    = "host"
    sockets = ["udp"]
  }
  files {
    write    = ["/srv/tftp", "/tftpboot", "/var/lib/tftpboot"]
    optional = ["/srv/tftp", "/tftpboot", "/var/lib/tftpboot"]
  }
  syscalls { allow = ["@identity", "bind", "chroot"] }
  # It binds and connects its datagram sockets. A TCP client's could be re-aimed so before Linux 6.7, and it has none.
  best_effort = ["landlock.net", "landlock.scopes"]
}

# casemate-worker carrying one connection of a service with redirect between two
# sockets that it is given: it can neither open another nor aim one elsewhere. To a unix
# socket, whose server asks who connects, it connects itself: that takes a profile of
# one's own on this one.
profile "relay" {
  network { mode = "none" }
  files {
    dev = ["null"]
  }
  syscalls {
    allow        = ["@relay"]
    on_violation = "kill"
  }
  resources {
    memory     = "1GiB"
    data       = "128MiB"
    open_files = 32
    tasks      = 16
    stack      = "8MiB"
    locked     = "64KiB"
  }
  best_effort = ["cgroup"]
}

# casemate-worker serving a builtin: a static Go program on the listening
# sockets it is given, from which it answers datagrams to any address.
profile "builtin" {
  network { mode = "listener" }
  files {
    dev = ["null"]
  }
  syscalls {
    allow        = ["@builtin"]
    on_violation = "kill"
  }
  resources {
    memory     = "512MiB"
    data       = "512MiB"
    open_files = 4096
    tasks      = 64
    stack      = "8MiB"
    locked     = "64KiB"
  }
  best_effort = ["cgroup"]
}

# Daemons that many hosts have, so that a service of theirs is one line: profile = profile.sshd. Each
# names what its kind needs on Debian, and nothing of a site's own: a profile on top of it adds that.

# telnetd with login(1), rlogind: root lets users in, becomes them, and they work on a terminal, in their
# homes. There is no /proc: pam_loginuid, which Debian requires of a login, takes one that it may not
# write for an error, and none for a host without audit.
profile "telnetd" {
  base         = profile.login
  widens       = ["capabilities", "files"]
  because      = "it lets users in, and becomes them"
  capabilities = ["CAP_CHOWN", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"]
  files {
    exec = ["/sbin", "/usr/sbin"]
    read = [
      "/etc/alternatives", "/etc/bash.bashrc", "/etc/default/locale", "/etc/environment", "/etc/group", "/etc/hostname", "/etc/hosts",
      "/etc/inputrc", "/etc/issue", "/etc/issue.net", "/etc/localtime", "/etc/login.defs", "/etc/motd", "/etc/nsswitch.conf", "/etc/pam.conf",
      "/etc/pam.d", "/etc/passwd", "/etc/profile", "/etc/profile.d", "/etc/protocols", "/etc/securetty", "/etc/security", "/etc/services",
      "/etc/shadow", "/etc/shells", "/etc/skel", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/terminfo", "/etc/timezone",
    ]
    write = ["/home", "/var/mail"]
    optional = [
      "/etc/alternatives", "/etc/bash.bashrc", "/etc/default/locale", "/etc/environment", "/etc/group", "/etc/hostname", "/etc/hosts",
      "/etc/inputrc", "/etc/issue", "/etc/issue.net", "/etc/localtime", "/etc/login.defs", "/etc/motd", "/etc/nsswitch.conf", "/etc/pam.conf",
      "/etc/pam.d", "/etc/passwd", "/etc/profile", "/etc/profile.d", "/etc/protocols", "/etc/securetty", "/etc/security", "/etc/services",
      "/etc/shadow", "/etc/shells", "/etc/skel", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/terminfo", "/etc/timezone",
      "/home", "/sbin", "/usr/sbin", "/var/mail",
    ]
    proc = false
  }
}

# sshd -i. Its monitor passes the terminal to the session (@fd-passing), and what asks for keys
# is shut into an empty folder.
profile "sshd" {
  base         = profile.telnetd
  widens       = ["capabilities", "network", "syscalls"]
  because      = "it lets users in, and becomes them"
  capabilities = ["CAP_SYS_CHROOT"]
  network { mode = "listener" }
  files {
    read     = ["/etc/ssh", "/run/sshd"]
    optional = ["/etc/ssh", "/run/sshd"]
  }
  syscalls { allow = ["@fd-passing", "chroot"] }
}

# vsftpd, ftpd: users' files in their homes and /srv/ftp, data connections to ports of the server's (passive
# mode). It starts no program.
profile "ftpd" {
  base         = profile.files
  widens       = ["capabilities", "files", "network", "syscalls"]
  because      = "it lets users in, becomes them, and listens for data connections"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  init         = true
  network {
    mode = "host"
    bind = ["any"]
  }
  files {
    read = [
      "/etc/ftpusers", "/etc/group", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/localtime", "/etc/login.defs",
      "/etc/nsswitch.conf", "/etc/pam.conf", "/etc/pam.d", "/etc/passwd", "/etc/security", "/etc/shadow", "/etc/shells", "/etc/vsftpd.conf", "/run/vsftpd",
    ]
    write = ["/home", "/srv/ftp"]
    optional = [
      "/etc/ftpusers", "/etc/group", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/localtime", "/etc/login.defs",
      "/etc/nsswitch.conf", "/etc/pam.conf", "/etc/pam.d", "/etc/passwd", "/etc/security", "/etc/shadow", "/etc/shells", "/etc/vsftpd.conf",
      "/home", "/run/vsftpd", "/srv/ftp",
    ]
    log = true
  }
  syscalls {
    allow = ["@fd-passing", "@identity", "@process", "chroot"]
    # Its processes end with each other: of an init's child that is its own affair.
    rule "prctl" {
      arg    = 0
      values = ["0x1"]
    }
  }
  # A kernel before 6.12 keeps it neither from what /dev/log takes nor from abstract unix sockets of the host.
  best_effort = ["files.log", "landlock.scopes"]
}

# exim -bs, sendmail -bs, under the mail system's own user: takes mail from its client into the queue, and
# delivers into /var/mail what that user may. To send mail on is the queue runner's affair.
profile "smtpd" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    exec = ["/usr/bin", "/usr/sbin"]
    read = [
      "/etc/aliases", "/etc/email-addresses", "/etc/exim4", "/etc/group", "/etc/hosts", "/etc/localtime", "/etc/mailname",
      "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/var/lib/exim4",
    ]
    write = ["/var/log/exim4", "/var/mail", "/var/spool/exim4"]
    optional = [
      "/etc/aliases", "/etc/email-addresses", "/etc/exim4", "/etc/group", "/etc/hosts", "/etc/localtime", "/etc/mailname",
      "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/var/lib/exim4",
      "/var/log/exim4", "/var/mail", "/var/spool/exim4",
    ]
  }
  syscalls { allow = ["@file-attr", "@process"] }
  init = true
}

# in.tftpd, atftpd, with wait: each transfer is answered from a port of its own (RFC 1350), and the
# program gives up root and its view of the files by itself.
profile "tftpd" {
  base         = profile.files
  widens       = ["capabilities", "files", "network", "syscalls"]
  because      = "it answers each transfer from a port of its own, and changes its root and its user by itself"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  network {
    mode    = "host"
    sockets = ["udp"]
  }
  files {
    read     = ["/etc/group", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/nsswitch.conf", "/etc/passwd"]
    write    = ["/srv/tftp"]
    optional = ["/etc/group", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/nsswitch.conf", "/etc/passwd", "/srv/tftp"]
  }
  syscalls { allow = ["@identity", "@process", "bind", "chroot"] }
  # It binds and connects its datagram sockets. A TCP client's could be re-aimed so before Linux 6.7, and it has none.
  best_effort = ["landlock.net"]
}
