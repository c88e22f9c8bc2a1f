package main

import (
	"fmt"
	"strings"

	"casemate/sandbox"

	"github.com/spf13/cobra"
)

// policyTopic is `casemate help policy`: the schema on one page.
func (a *app) policyTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "policy",
		Short: "The policy language on one page",
		Long: `A policy is the union of its *.cm.hcl files. The order of blocks means nothing; the
same block twice is an error. acl.NAME, limit.NAME, profile.NAME and local.NAME
refer to blocks and are written without quotes.

  policy {
    edition = 1
    on_stop = "end"                  # or "leave": what a stopping casemated does with sessions
  }

  locals { office = ["192.0.2.0/24", "2001:db8:10::/48"] }

  acl "NAME" {                       # the first rule that matches decides
    deny { from = ["192.0.2.66"] }
    allow "staff" {                  # the name is optional; logs and explain show it
      from   = concat(local.office, [".example.org"])
      except = ["192.0.2.77"]        # belongs to this rule only
      to     = ["192.0.2.1"]         # only for connections to this local address
    }
    default = "deny"
  }

Patterns of from and except: an address, a prefix, a host name, .domain, any,
known (the name is confirmed), unknown (no name), paranoid (name and address
disagree). A service without acl admits nobody. Shipped: acl.anyone, acl.localhost, acl.nobody.

  limit "NAME" {                     # what is not written is not limited
    concurrent = 64
    rate       = "50/s"              # /s /min /h /d
    burst      = 100                 # default: the number of the rate
    session    = "10m"
    per_source {                     # for each source prefix
      concurrent = 4
      rate       = "10/min"
      burst      = 5
      ipv4_prefix = 32
      ipv6_prefix = 64
    }
    penalty {
      on    = ["crash", "violation", "timeout"]   # the end "memory", by the OOM killer, never has one
      first = "90s"                  # each offence adds as much again
      max   = "10m"
    }
  }

Shipped: limit.default, which a service has that names none, and limit.wait.

  profile "NAME" {
    base           = profile.line    # default profile.strict; see casemate profiles
    widens         = ["files", "network", "syscalls"]   # layers in which it grants more than its base
    best_effort    = ["cgroup"]      # what may be missing on the host: landlock, landlock.net,
                                     # landlock.scopes, cgroup, resources.open_files
    because        = "..."           # needed for capabilities and the host's network
    capabilities   = []
    init           = true            # a tiny init in front of the program; without it the program is process 1: SIGPIPE,
                                     # SIGALRM and SIGTERM do nothing unless it handles them, and its orphans stay
    user_namespace = false
    network {
      mode    = "host"               # default "none": the socket it is handed and the peers that come to it;
                                     # "listener": that socket may send to any address (datagrams with wait = true)
      connect = ["https", "8000-8010"]   # the tcp ports that mode "host" leaves open, or ["any"];
      bind    = []                   # each list says nothing about the other
      sockets = ["unix", "tcp"]      # kinds of sockets it may make; also udp, netlink-route
    }
    files {                          # host paths; what is not named does not exist
      read  = ["/etc/passwd"]
      exec  = ["/usr/lib"]
      write = ["/srv/data"]
      tmp   = "1MiB"                 # a private /tmp for each connection
      shm   = "16MiB"                # a private /dev/shm, on the file system of /tmp: together they hold the sum
      proc  = true                   # an own /proc, and /dev/fd, stdin, stdout, stderr
      pty   = true                   # an own /dev/pts for each connection, and /dev/tty
      dev   = ["null"]               # full, null, random, urandom, zero
    }
    syscalls {
      allow        = ["@file-read", "openat"]
      deny         = ["@threads"]
      on_violation = "errno"         # or "kill"
      seal         = true            # no launch calls after the start, at a price
      rule "socket" {                # by argument: (arg 0 & mask) is one of values
        arg    = 0
        mask   = "0xffffffff"
        values = [1]
      }
    }
    resources {                      # or "unlimited"
` + resourceLines() + `    }
  }

Read-only paths, devices and tmp need no widens; write and exec paths, proc, pty, the
network, capabilities, further system calls and larger resources do.

Symbolic links are not followed below a write path, and no path may lie in one, of
this service or another: the service could put something else there. What leads to
a path must be root's, or a user's directory with that user's own files.

  service "NAME" {
    listen    = ["tcp://:finger", "tcp://[::1]:7979"]   # or "unix:/run/x.sock"
    command   = ["/usr/sbin/in.fingerd", "-w"]   # or builtin = "echo", discard, chargen, daytime, time
    user      = "nobody"             # or "dynamic": a leased uid for each connection
    group     = "nogroup"            # default: the user's own
    groups    = []
    because   = "..."                # needed for root
    acl       = acl.office
    limit     = limit.public
    profile   = profile.finger       # default profile.strict
    wait      = false                # true: hand the listening socket over
    stdio     = "socket"             # socket-all, listen_fds, env:NAME
    env       = { TZ = "UTC" }
    env_style = ["systemd", "ucspi"] # the client's address in the environment; xinetd; [] for none
    dir       = "/"
    umask     = "0077"
    banner    = "try later"          # one line for refused clients
    linger    = "60s"                # how long an idle service stays prepared
    retry     = false                # retry a busy address instead of failing
    socket {
      backlog = 128                  # absent: the system's maximum; of unix sockets' files
    }                                # also mode = "0660" ("0600" if absent), owner and group
  }

Networks: tcp, tcp4, tcp6, udp, udp4, udp6, unix, unixgram, unixpacket; unix:@name
is abstract. A port is a name, a number or a range (tcp://:7000-7010). Functions:
concat, distinct, setintersection, setsubtract, setunion. Durations: 500ms, 90s,
10m, 1h30m, 2d.`,
	}
}

// resourceLines are the attributes of resources { }, from their rows.
func resourceLines() string {
	var b strings.Builder
	for _, row := range sandbox.ResourceRows {
		example := row.Example
		if row.Unit != sandbox.Count {
			example = fmt.Sprintf("%q", example)
		}
		fmt.Fprintf(&b, "      %-13s = %-14s # %s\n", row.Name, example, row.Doc)
	}
	return b.String()
}
