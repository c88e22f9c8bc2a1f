policy { edition = 1 }

# @process: it becomes doveconf(1), which reads the configuration and becomes it again.
profile "dovecot_imap" {
  base   = profile.files
  widens = ["files", "syscalls"]
  files {
    exec  = ["/usr/bin/doveconf"]
    read  = ["/etc/dovecot", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/openssl.cnf", "/usr/share/dovecot"]
    write = ["/srv/mail/guest"]
  }
  syscalls { allow = ["@process"] }
}

service "imap" {
  listen  = ["tcp://127.0.0.1:143"]
  command = ["/usr/lib/dovecot/imap", "-o", "mail_location=maildir:/srv/mail/guest"]
  user    = "guest"
  argv0   = "/usr/lib/dovecot/imap"
  env     = { HOME = "/srv/mail/guest", USER = "guest" }
  acl     = acl.localhost
  profile = profile.dovecot_imap
}
