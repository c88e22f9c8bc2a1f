policy { edition = 1 }

service "web" {
  listen         = ["tcp://:7010"]
  redirect       = "127.0.0.1:7011"
  proxy_protocol = "v2"
  acl            = acl.localhost
  limit          = limit.web
}

limit "web" {
  concurrent = 200
  session    = "5m"
  per_source {
    concurrent = 20
    rate       = "50/s"
  }
}
