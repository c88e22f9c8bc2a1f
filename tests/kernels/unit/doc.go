// Package unit tries casemated as the systemd unit that is shipped with it, in a
// machine of its own where systemd, AppArmor and cgroup v2 are as Debian 12 has
// them. The tests carry the build tag guest: they start, stop and starve a
// service of the whole system, so only package kernels builds and runs them.
package unit
