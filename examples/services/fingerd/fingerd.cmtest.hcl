# As it comes, the service is for this host alone.

case "this host" {
  service = service.finger
  client  = ["127.0.0.1", "::1"]
  expect  = "allow"
  matched = acl.localhost.1
}

invariant "nobody else" {
  never = reach(service.*, "198.51.100.0/24", "2001:db8::/32")
}

invariant "there is no shell in it" {
  condition = alltrue([for s in services : !contains(s.profile.files.exec, "/bin/sh") && !contains(s.profile.files.exec, "/bin")])
}
