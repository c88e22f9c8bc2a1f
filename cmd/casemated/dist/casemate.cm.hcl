# The policy of casemated on this host. Every *.cm.hcl file of this directory is part
# of it, in no order; nothing else here is read. As it stands it serves nothing.
#
#   casemate help policy     the language on one page; also casemate-policy(5)
#   casemate profiles        what a program may do under each shipped profile
#   casemate check --host    is the policy valid, and can this host enforce it
#   casemate reload          a running casemated takes it over, or keeps the old one
#
# casemated starts at no boot by itself: systemctl enable --now casemated
#
# An inetd.conf goes on as it is when casemated is started with both paths
# (casemate help inetd), or becomes a policy: casemate import inetd /etc/inetd.conf

policy { edition = 1 }

# A first service: finger, which knows nobody, and answers this host alone.
#
# service "finger" {
#   listen  = ["tcp://:finger"]
#   command = ["/bin/sh", "-c", "read -r user; echo \"no such user\""]
#   user    = "dynamic" # a leased uid for every connection
#   acl     = acl.localhost
#   profile = profile.server
# }
