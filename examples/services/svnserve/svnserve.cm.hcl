policy { edition = 1 }

profile "svnserve" {
  base   = profile.files
  widens = ["files"]
  files {
    write = ["/srv/svn"]
  }
}

service "svn" {
  listen  = ["tcp://:3690"]
  command = ["/usr/bin/svnserve", "--inetd", "--root", "/srv/svn"]
  user    = "svn"
  acl     = acl.localhost
  profile = profile.svnserve
}
